#include "actors.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>

#include "check.h"

namespace sluice::test {
namespace {

constexpr uint32_t kReadBytesMax = 64 * 1024;
constexpr uint64_t kChunkPages = 4;

void pause(Random& random, uint64_t us_max) {
  if (random.percent(50)) std::this_thread::sleep_for(std::chrono::microseconds(random.below(us_max + 1)));
}

// One open file of a reading program.
class Reader {
 public:
  Reader(Run& run, Random random, uint64_t node) : run_(run), random_(random), node_(node), file_(run.files[node - kFirstNode]) {}

  // False when the connection ended.
  bool run() {
    Bytes open(8);
    const auto opened = run_.kernel.call(fuse::kOpen, node_, open);
    if (!opened) return false;
    if (opened->error != 0) {
      CHECK(opened->error == ENOENT || opened->error == EINTR || (opened->error == EIO && run_.stopping),
            "OPEN ended with " << opened->error);
      return true;
    }
    std::memcpy(&handle_, opened->body.data(), sizeof handle_);
    const auto window = random_.between(1, 6);
    for (uint64_t reads = random_.between(1, 25); reads > 0; --reads) {
      if (!run_.kernel.await([&] { return under_way_ < window; }) || !start(handle_)) return finish(false);
      if (random_.percent(12)) run_.kernel.interrupt(last_);
      pause(random_, 100);
    }
    if (!run_.hostile && !finish(true)) return false;
    released_ = true;
    const auto released = run_.kernel.call(fuse::kRelease, node_, release_body(handle_));
    if (!released) return finish(false);
    CHECK(released->error == 0 || handle_ >= kHostHandle || run_.stopping, "RELEASE ended with " << released->error);
    if (random_.percent(20) && handle_ < kHostHandle) start_after_release();
    return finish(true);
  }

 private:
  // All replies are in, or none will come; false when the connection ended.
  bool finish(bool connected) {
    const bool all = run_.kernel.await([&] { return under_way_ == 0; });
    return all && connected;
  }

  bool start(uint64_t handle) {
    const uint64_t past_end = random_.percent(5) ? kReadBytesMax : 0;
    uint64_t offset = random_.below(file_->size() + past_end);
    uint32_t size = static_cast<uint32_t>(random_.between(random_.percent(5) ? 0 : 1, kReadBytesMax));
    if (random_.percent(70)) {
      offset = offset / 4096 * 4096;
      size = std::max(4096u, size / 4096 * 4096);
    }
    ++under_way_;
    const bool is_native = handle < kHostHandle;
    const bool was_cut = file_->is_cut();
    last_ = run_.kernel.send(fuse::kRead, node_, read_body(handle, offset, size),
                             [this, offset, size, is_native, was_cut](int error, std::span<const uint8_t> bytes) {
                               if (error == 0) check(offset, size, bytes, is_native, was_cut);
                               else check_error(error, is_native);
                               --under_way_;
                             });
    if (last_ != 0) return true;
    --under_way_;
    return false;
  }

  void check(uint64_t offset, uint32_t size, std::span<const uint8_t> bytes, bool is_native, bool was_cut) {
    const uint64_t left = offset < file_->size() ? file_->size() - offset : 0;
    CHECK(bytes.size() == std::min<uint64_t>(size, left), "READ of " << size << " at " << offset << " got " << bytes.size());
    // What is cut off while it is read may be gone; before that and afterwards there is no doubt.
    const bool in_doubt = is_native && !was_cut && file_->is_being_cut() && offset + bytes.size() > file_->cut_at();
    file_->check_bytes(offset, in_doubt ? bytes.first(std::max(offset, file_->cut_at()) - offset) : bytes);
    if (!is_native) return;
    CHECK(!was_cut || bytes.empty() || offset + bytes.size() <= file_->cut_at(), "bytes that had been cut off");
    CHECK(bytes.empty() || file_->was_filled(offset, offset + bytes.size()), "bytes that had not been published");
    ++run_.reads_ok;
    run_.bytes += bytes.size();
  }

  void check_error(int error, bool is_native) {
    if (!is_native) {
      CHECK(error == EINTR || run_.stopping, "a READ in JavaScript ended with " << error);
      return;
    }
    ++run_.reads_failed;
    run_.failed_by_host += error == kFailedByHost;
    if (error == kFailedByHost || error == EINTR) return;
    if (error == kUnknownHandle && run_.hostile && released_) return;
    CHECK(error == EIO, "a READ ended with " << error);
    CHECK(run_.short_deadline || run_.stopping || file_->is_closed() || file_->is_being_cut(), "EIO without reason");
  }

  void start_after_release() {
    const auto late = run_.kernel.call(fuse::kRead, node_, read_body(handle_, 0, 10));
    CHECK(!late || late->error == kUnknownHandle || (late->error == EIO && run_.stopping),
          "READ of a released handle ended with " << late->error);
  }

  Run& run_;
  Random random_;
  const uint64_t node_;
  const std::shared_ptr<TestFile> file_;
  uint64_t handle_ = 0, last_ = 0;
  std::atomic<bool> released_{false};
  std::atomic<unsigned> under_way_{0};
};

const Shape& random_shape(Random& random) {
  static constexpr uint32_t kElsewhere[] = {fuse::kForget,      fuse::kBatchForget, fuse::kInit,    fuse::kInterrupt,
                                            fuse::kNotifyReply, fuse::kOpen,        fuse::kRelease, fuse::kRead};
  for (;;) {
    const Shape& shape = shapes()[random.below(shapes().size())];
    if (std::find(std::begin(kElsewhere), std::end(kElsewhere), shape.opcode) == std::end(kElsewhere)) return shape;
  }
}

bool forget(Run& run, Random& random) {
  Bytes body;
  if (random.percent(50)) {
    append(body, random.between(1, 1'000'000));
    return run.kernel.send(fuse::kForget, random.between(1, 20), body) != 0;
  }
  const auto count = static_cast<uint32_t>(random.below(40));
  append(body, fuse::BatchForgetIn{count, 0});
  for (uint32_t at = 0; at < count; ++at) append(body, fuse::ForgetOne{random.between(1, 20), random.between(1, 1'000'000)});
  return run.kernel.send(fuse::kBatchForget, 0, body) != 0;
}

// Cut somewhere, with a header that says so or not: refused natively.
bool send_cut(Run& run, Random& random) {
  const Shape& shape = random_shape(random);
  const uint64_t unique = run.kernel.reserve();
  Bytes message = message_of(shape.opcode, unique, 1, static_cast<uint32_t>(unique), body_of(shape));
  if (message.size() == sizeof(fuse::InHeader)) return true;
  message.pop_back();
  const auto length = static_cast<uint32_t>(message.size());
  const bool says_so = random.percent(50);
  if (says_so) std::memcpy(message.data(), &length, sizeof length);
  ++run.malformed;
  return run.kernel.send_raw(message, unique, [](int error, std::span<const uint8_t>) {
    CHECK(error == EIO || error == EINVAL, "a cut request was answered with " << error);
  });
}

}  // namespace

void read_files(Run& run, Random random, unsigned opens) {
  for (; opens > 0; --opens) {
    // Outlives its replies: `run` has waited for all of them.
    Reader reader(run, random.fork(), kFirstNode + random.below(run.files.size()));
    if (!reader.run()) return;
  }
}

void use_operations(Run& run, Random random, unsigned count) {
  for (; count > 0; --count) {
    bool sent = true;
    if (random.percent(30)) sent = forget(run, random);
    else if (random.percent(10)) sent = send_cut(run, random);
    else {
      const Shape& shape = random_shape(random);
      // Nobody knows an operation of that number.
      const uint32_t opcode = random.percent(3) ? 4000 : shape.opcode;
      const uint64_t unique = run.kernel.send(opcode, random.between(1, 20), body_of(shape));
      sent = unique != 0;
      if (sent && random.percent(10)) run.kernel.interrupt(unique);
    }
    if (!sent) return;
    pause(random, 100);
  }
}

void fill_files(Run& run, Random random, std::shared_ptr<Session> session, unsigned index, unsigned publishers) {
  struct Chunk {
    TestFile* file;
    uint64_t start, end;
  };
  std::vector<Chunk> chunks;
  for (const auto& file : run.files) {
    uint64_t number = 0;
    for (uint64_t start = 0; start < file->size(); start += kChunkPages * TestFile::kPageBytes)
      if (number++ % publishers == index)
        chunks.push_back({file.get(), start, std::min(start + kChunkPages * TestFile::kPageBytes, file->size())});
  }
  if (random.percent(50))
    for (size_t at = chunks.size(); at > 1; --at) std::swap(chunks[at - 1], chunks[random.below(at)]);
  const auto fill = [&](const Chunk& chunk) {
    // As a stream brings it: in pieces that end anywhere.
    for (uint64_t at = chunk.start; at < chunk.end;) {
      const uint64_t next = random.percent(60) ? chunk.end : random.between(at + 1, chunk.end);
      chunk.file->fill(at, next);
      if (random.percent(50)) std::this_thread::yield();
      session->file_published(*chunk.file->local());
      at = next;
      if (!run.kernel.is_over()) pause(random, 300);
    }
  };
  for (size_t filled = 0; filled < chunks.size();) {
    fill(chunks[filled++]);
    if (!random.percent(run.punch_percent)) continue;
    // One that was filled goes, and comes back.
    const Chunk& chunk = chunks[random.below(filled)];
    chunk.file->punch(chunk.start, chunk.end);
    if (!run.kernel.is_over()) pause(random, 300);
    fill(chunk);
  }
}

}  // namespace sluice::test

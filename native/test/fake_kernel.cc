#include "fake_kernel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "check.h"

namespace sluice::test {
namespace {

// Holds some tens of READ replies of 64 KiB: the kernel never fills up.
constexpr int kSocketBytes = 4 << 20;
constexpr size_t kMessageBytesMax = 2 << 20;
constexpr int kErrnoMax = 511;

// FUSE_INIT flags that a recent kernel offers, more than are wanted.
constexpr uint64_t kOffered = 0xff'ffff'ffff;

}  // namespace

FakeKernel::FakeKernel() {
  CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_.data()) == 0);
  for (const int end : ends_) ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kSocketBytes, sizeof kSocketBytes);
  witness_ = ::fcntl(ends_[1], F_DUPFD_CLOEXEC, 3);
  thread_ = std::thread([this] { run(); });
}

FakeKernel::~FakeKernel() {
  CHECK(witness_ < 0, "the connection was not settled");
  thread_.join();
  ::close(ends_[0]);
  if (ends_[1] >= 0) ::close(ends_[1]);
}

int FakeKernel::descriptor() { return std::exchange(ends_[1], -1); }

bool FakeKernel::negotiate() {
  const auto answer = call(fuse::kInit, 0, init_body(fuse::kMajor, 45, kOffered));
  if (!answer || answer->error != 0) return false;
  fuse::InitOut out;
  std::memcpy(&out, answer->body.data(), sizeof out);
  CHECK(out.major == fuse::kMajor && out.minor == fuse::kMinor);
  CHECK(out.max_write >= 4096 && out.max_write <= uint32_t{out.max_pages} * 4096);
  CHECK((out.flags & fuse::kMaxPages) != 0 && (out.flags & fuse::kInitExt) != 0);
  CHECK((uint64_t{out.flags2} << 32 & fuse::kHasResend) != 0);
  return true;
}

uint64_t FakeKernel::reserve() {
  std::lock_guard lock(mutex_);
  return last_unique_ += 2;
}

uint64_t FakeKernel::send(uint32_t opcode, uint64_t node, std::span<const uint8_t> body, OnReply on_reply) {
  const uint64_t unique = reserve();
  Request request;
  request.opcode = opcode;
  request.node = node;
  request.body.assign(body.begin(), body.end());
  request.on_reply = std::move(on_reply);
  const Bytes message = message_of(opcode, unique, node, static_cast<uint32_t>(unique), body);
  return write(message, unique, std::move(request)) ? unique : 0;
}

bool FakeKernel::send_raw(const Bytes& message, uint64_t unique, OnReply on_reply, bool any_length) {
  if (unique == 0) return write(message, 0, {});
  Request request;
  request.opcode = 0;
  request.on_reply = std::move(on_reply);
  request.any_length = any_length;
  return write(message, unique, std::move(request));
}

std::optional<Answer> FakeKernel::call(uint32_t opcode, uint64_t node, std::span<const uint8_t> body) {
  std::optional<Answer> answer;
  std::atomic<bool> came{false};
  const auto keep = [&](int error, std::span<const uint8_t> bytes) {
    answer = Answer{error, {bytes.begin(), bytes.end()}};
    came = true;
  };
  if (send(opcode, node, body, keep) == 0 || !await([&] { return came.load(); })) return std::nullopt;
  return answer;
}

bool FakeKernel::write(const Bytes& message, uint64_t unique, Request request) {
  std::lock_guard writing(write_mutex_);
  if (closed_) return false;
  // Known before its reply can come.
  if (unique != 0) {
    std::lock_guard lock(mutex_);
    requests_.emplace(unique, std::move(request));
  }
  const ssize_t sent = ::send(ends_[0], message.data(), message.size(), MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(message.size())) return true;
  CHECK(sent < 0 && (errno == EPIPE || errno == ECONNRESET), "errno " << errno);
  std::lock_guard lock(mutex_);
  requests_.erase(unique);
  return false;
}

void FakeKernel::interrupt(uint64_t unique) {
  {
    std::lock_guard lock(mutex_);
    const auto found = requests_.find(unique);
    if (found == requests_.end() || found->second.was_answered) return;
    found->second.was_interrupted = true;
  }
  Bytes body;
  append(body, unique);
  write(message_of(fuse::kInterrupt, unique | 1, 0, 0, body), 0, {});
}

void FakeKernel::run() {
  Bytes buffer(kMessageBytesMax);
  for (;;) {
    const ssize_t length = ::recv(ends_[0], buffer.data(), buffer.size(), 0);
    if (length > 0) {
      take_reply(std::span(buffer).first(static_cast<size_t>(length)));
      continue;
    }
    // ECONNRESET comes once, ahead of what is still to be read, when the daemon closed with requests unread.
    if (length < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    CHECK(length == 0, "errno " << errno);
    std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
    return;
  }
}

void FakeKernel::take_reply(std::span<const uint8_t> message) {
  CHECK(message.size() >= sizeof(fuse::OutHeader), "a reply of " << message.size() << " bytes");
  fuse::OutHeader header;
  std::memcpy(&header, message.data(), sizeof header);
  CHECK(header.len == message.size(), "a reply says " << header.len << " bytes and has " << message.size());
  const auto body = message.subspan(sizeof header);
  if (header.unique == 0) return take_notice(header.error, body);
  CHECK(header.error <= 0 && header.error >= -kErrnoMax, "error " << header.error << " of reply " << header.unique);
  CHECK(header.error == 0 || body.empty(), "an error with a body");
  if (header.unique & 1) return take_interrupt_reply(header.unique & ~1ull, -header.error, body.size());
  OnReply on_reply;
  {
    std::lock_guard lock(mutex_);
    const auto found = requests_.find(header.unique);
    CHECK(found != requests_.end(), "a reply to " << header.unique << ", which was never sent");
    Request& request = found->second;
    CHECK(!request.was_answered, "a second reply to " << header.unique << ", operation " << request.opcode);
    CHECK(header.error != 0 || request.any_length || reply_length_fits(request.opcode, request.body, body.size()),
          "a reply of " << body.size() << " bytes to operation " << request.opcode);
    request.was_answered = true;
    if (request.opcode == fuse::kRead && header.error == 0) {
      ++counts_.reads_ok;
      counts_.bytes_read += body.size();
    }
    if (header.error == -EINTR) {
      CHECK(request.was_interrupted, "EINTR for " << header.unique << ", which nobody interrupted");
      ++counts_.interrupted;
    }
    on_reply = std::move(request.on_reply);
  }
  if (on_reply) on_reply(-header.error, body);
  std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void FakeKernel::take_interrupt_reply(uint64_t unique, int error, size_t bytes) {
  CHECK(error == EAGAIN && bytes == 0, "an INTERRUPT was answered with " << error);
  {
    std::lock_guard lock(mutex_);
    const auto found = requests_.find(unique);
    CHECK(found != requests_.end() && found->second.was_interrupted);
    if (found->second.was_answered) return;
  }
  // As the kernel does. Not by `write`: this thread must not wait for the daemon, which may be waiting for it.
  Bytes body;
  append(body, unique);
  const Bytes message = message_of(fuse::kInterrupt, unique | 1, 0, 0, body);
  ::send(ends_[0], message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void FakeKernel::take_notice(int32_t code, std::span<const uint8_t> payload) {
  if (code == fuse::kNotifyInvalEntry) {
    fuse::NotifyInvalEntryOut out;
    CHECK(payload.size() > sizeof out);
    std::memcpy(&out, payload.data(), sizeof out);
    CHECK(payload.size() == sizeof out + out.namelen + 1 && payload.back() == 0, "a name of " << out.namelen);
  } else {
    CHECK(code == fuse::kNotifyInvalInode, "notification " << code);
    CHECK(payload.size() == sizeof(fuse::NotifyInvalInodeOut));
  }
  std::lock_guard lock(mutex_);
  notices_.emplace_back(code, Bytes(payload.begin(), payload.end()));
  changed_.notify_all();
}

void FakeKernel::await_notices(size_t count) {
  std::unique_lock lock(mutex_);
  const bool came = changed_.wait_for(lock, kHangLimit, [&] { return notices_.size() >= count; });
  CHECK(came, "only " << notices_.size() << " of " << count << " notifications");
}

void FakeKernel::hang_up() {
  std::lock_guard lock(write_mutex_);
  closed_ = true;
  hung_up_ = true;
  ::shutdown(ends_[0], SHUT_RDWR);
}

void FakeKernel::settle() {
  {
    std::lock_guard lock(write_mutex_);
    closed_ = true;
  }
  Bytes buffer(kMessageBytesMax);
  for (ssize_t length; (length = ::recv(witness_, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;) {
    fuse::InHeader header;
    if (length < static_cast<ssize_t>(sizeof header)) continue;
    std::memcpy(&header, buffer.data(), sizeof header);
    std::lock_guard lock(mutex_);
    if (const auto found = requests_.find(header.unique); found != requests_.end()) found->second.was_never_read = true;
  }
  ::close(std::exchange(witness_, -1));
  std::unique_lock lock(mutex_);
  CHECK(changed_.wait_for(lock, kHangLimit, [&] { return over_.load(); }), "the session has not closed its descriptor");
  if (hung_up_) return;
  for (const auto& [unique, request] : requests_) {
    CHECK(request.was_answered == (request.wants_reply() && !request.was_never_read),
          "request " << unique << ", operation " << request.opcode << ": "
                     << (request.was_answered ? "answered, though not to be" : "read and never answered"));
  }
}

Sent FakeKernel::sent(uint32_t uid) const {
  std::lock_guard lock(mutex_);
  const auto found = requests_.find(uid);
  CHECK(found != requests_.end(), "JavaScript was told of request " << uid << ", which was never sent");
  return found->second;
}

void FakeKernel::make_replies_small() {
  const int least = 4096;
  ::setsockopt(witness_, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
}

bool FakeKernel::all_answered() const {
  for (const auto& [unique, request] : requests_)
    if (request.wants_reply() && !request.was_answered) return false;
  return true;
}

std::map<uint64_t, uint64_t> FakeKernel::forgotten() const {
  std::lock_guard lock(mutex_);
  std::map<uint64_t, uint64_t> sums;
  for (const auto& [unique, request] : requests_) {
    if (request.was_never_read) continue;
    const auto word = [&](size_t at) {
      uint64_t value;
      std::memcpy(&value, request.body.data() + at, sizeof value);
      return value;
    };
    if (request.opcode == fuse::kForget) sums[request.node] += word(0);
    if (request.opcode != fuse::kBatchForget) continue;
    for (size_t at = 8; at < request.body.size(); at += 16) sums[word(at)] += word(at + 8);
  }
  return sums;
}

std::vector<Notice> FakeKernel::notices() const {
  std::lock_guard lock(mutex_);
  return notices_;
}

FakeKernel::Counts FakeKernel::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace sluice::test

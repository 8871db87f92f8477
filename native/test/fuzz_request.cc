// Fuzz target of the request parser and of a live session behind it: no bytes from the device may crash either, and each
// request that has a reply is answered once. libFuzzer drives LLVMFuzzerTestOneInput where there is clang (with
// -DSLUICE_LIBFUZZER); else the driver below does, with messages that are changed from valid ones, for a bounded time.
//
//   fuzz_request [--seed N] [--runs N] [--seconds N]
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "../request.h"
#include "check.h"
#include "messages.h"
#include "random.h"
#include "rig.h"

namespace sluice::test {
namespace {

// What parse_request promises of a request that it lets through.
void check_promises(const Request& request, std::span<const uint8_t> message) {
  const Operation& operation = operation_of(request.header.opcode);
  CHECK(request.header.len == message.size());
  CHECK(request.body.data() == message.data() + sizeof(fuse::InHeader));
  CHECK(request.body.size() >= operation.body_bytes_min);
  const uint8_t* at = request.body.data() + operation.body_bytes_min;
  const uint8_t* const end = message.data() + message.size();
  for (int name = 0; name < operation.names + operation.free_names; ++name) {
    const auto* nul = static_cast<const uint8_t*>(std::memchr(at, 0, static_cast<size_t>(end - at)));
    CHECK(nul != nullptr, "a name without end");
    const std::string text(at, nul);
    CHECK(name >= operation.names || (!text.empty() && text != "." && text != ".." && text.find('/') == text.npos), text);
    at = nul + 1;
  }
  if (request.header.opcode == fuse::kBatchForget)
    CHECK(load<fuse::BatchForgetIn>(request.body).count <= request.body.size() / sizeof(fuse::ForgetOne));
  // Reads its argument: must be there.
  reply_bytes_max(request);
}

ParseResult parse(std::span<const uint8_t> message) {
  // To the byte, for AddressSanitizer.
  const auto exact = std::make_unique<uint8_t[]>(message.size());
  std::copy(message.begin(), message.end(), exact.get());
  Request request;
  const std::span<const uint8_t> bytes(exact.get(), message.size());
  const ParseResult result = parse_request(bytes, request);
  if (result == ParseResult::kOk) check_promises(request, bytes);
  return result;
}

// One session for many inputs. Whatever it is sent, it answers or hands over.
class LiveSession {
 public:
  LiveSession() : file_(1, 100'000) {
    CHECK(rig_.kernel.negotiate());
    file_.fill(0, 50'000);
    rig_.open(file_);
  }

  void feed(std::span<const uint8_t> input) {
    if (input.empty() || input.size() > 65536) return;
    Bytes message(input.begin(), input.end());
    uint64_t unique = 0;
    if (message.size() >= sizeof(fuse::InHeader)) {
      const auto opcode = load<uint32_t>(message, 4);
      // The ends of the connection, and requests whose reply is none of their own.
      if (opcode == fuse::kInit || opcode == fuse::kInterrupt) return;
      unique = rig_.kernel.reserve();
      std::memcpy(message.data() + 8, &unique, sizeof unique);
      const bool is_answered = operation_of(opcode).reply != Operation::Reply::kNone || !operation_of(opcode).known;
      if (!is_answered) unique = 0;
    }
    CHECK(rig_.kernel.send_raw(message, unique, [this](int, std::span<const uint8_t>) { ++replies_; }, true));
    if (unique != 0) ++expected_;
    // Its own answer marks where this input has been dealt with.
    if (++fed_ % 16 == 0) settle();
  }

  // Answers what was handed over, until all have their replies.
  void settle() {
    while (replies_ < expected_) {
      for (const Record& record : rig_.take_all(EventKind::kRequest)) rig_.session->reply(record.at<uint32_t>(8), EIO, {});
      for (const Record& record : rig_.take_all(EventKind::kReadWaiting)) rig_.session->fail_read(record.at<uint64_t>(16), EIO);
      if (replies_ < expected_) rig_.kernel.await_soon([&] { return replies_ >= expected_; });
    }
    rig_.forget_records();
  }

 private:
  TestFile file_;
  Rig rig_;
  std::atomic<uint64_t> replies_{0};
  uint64_t expected_ = 0, fed_ = 0;
};

// Valid ones with some bytes changed, cut, or grown; now and then nothing but noise.
Bytes mutated_message(Random& random) {
  Bytes message;
  if (random.percent(5)) {
    message.resize(random.below(300));
    for (uint8_t& byte : message) byte = static_cast<uint8_t>(random.next());
    return message;
  }
  const Shape& shape = shapes()[random.below(shapes().size())];
  message = message_of(shape.opcode, 2, random.below(5), 1, body_of(shape));
  if (shape.opcode == fuse::kRead && random.percent(80)) {
    const Bytes body = read_body(random.percent(80) ? 1 : random.next(), random.below(120'000), static_cast<uint32_t>(random.below(65536)));
    std::copy(body.begin(), body.end(), message.begin() + sizeof(fuse::InHeader));
  }
  static constexpr uint32_t kEdges[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff'ffff, 0x8000'0000, 0xffff'ffff, 0x1000'0000};
  for (uint64_t changes = random.below(4); changes > 0; --changes) {
    const size_t at = random.below(message.size());
    if (random.percent(40)) message[at] = static_cast<uint8_t>(random.next());
    else if (random.percent(50) && at + 4 <= message.size()) std::memcpy(&message[at], &kEdges[random.below(std::size(kEdges))], 4);
    else if (random.percent(50)) message.resize(at + 1);
    else message.insert(message.begin() + static_cast<ptrdiff_t>(at), random.below(40), static_cast<uint8_t>(random.below(3) * '/'));
  }
  const auto length = static_cast<uint32_t>(message.size());
  if (random.percent(90) && message.size() >= sizeof length) std::memcpy(message.data(), &length, sizeof length);
  return message;
}

}  // namespace
}  // namespace sluice::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* live = [] {
    std::signal(SIGPIPE, SIG_IGN);
    return new sluice::test::LiveSession();
  }();
  sluice::test::parse({data, size});
  live->feed({data, size});
  return 0;
}

#ifndef SLUICE_LIBFUZZER
int main(int argc, char** argv) {
  using namespace sluice::test;
  uint64_t seed = std::random_device()(), runs = ~0ull, seconds = 10;
  for (int at = 1; at + 1 < argc; at += 2) {
    const std::string option = argv[at];
    uint64_t* value = option == "--seed" ? &seed : option == "--runs" ? &runs : option == "--seconds" ? &seconds : nullptr;
    if (value == nullptr) return std::fprintf(stderr, "%s is no option\n", argv[at]), 2;
    *value = std::strtoull(argv[at + 1], nullptr, 10);
  }
  std::signal(SIGPIPE, SIG_IGN);
  set_seed(seed);
  std::printf("# seed %llu, at most %llu s\n", static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seconds));
  // A session sees each input in ten: the parser alone is much faster.
  constexpr uint64_t kInputsEach = 20'000;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  uint64_t inputs = 0, good = 0;
  Random random(seed);
  while (inputs < runs && std::chrono::steady_clock::now() < limit) {
    LiveSession live;
    for (uint64_t at = 0; at < kInputsEach && inputs < runs && std::chrono::steady_clock::now() < limit; ++at, ++inputs) {
      const Bytes message = mutated_message(random);
      good += parse(message) == sluice::ParseResult::kOk;
      if (at % 10 == 0) live.feed(message);
    }
    live.settle();
  }
  CHECK(good > 0 && good < inputs, good << " of " << inputs << " inputs were valid");
  pass(std::to_string(inputs) + " inputs, of them " + std::to_string(good) + " valid, crashed nothing and were answered");
  print_summary();
  return 0;
}
#endif

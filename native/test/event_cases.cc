// The event queue: order, batches, wakes, and what is lost under load.
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "../events.h"
#include "../request.h"
#include "cases.h"
#include "check.h"
#include "messages.h"
#include "random.h"

namespace sluice::test {
namespace {

constexpr size_t kBatch = 2u << 20;

// Calls `take(kind, record)` for all that is there.
template <typename Take>
size_t drain(EventQueue& queue, Bytes& out, Take take) {
  const size_t filled = queue.drain(out);
  CHECK(filled <= out.size());
  for (size_t at = 0; at < filled;) {
    const auto bytes = load<uint32_t>(out, at);
    CHECK(bytes % 8 == 0 && bytes >= EventQueue::kHeaderBytes && bytes <= filled - at);
    take(static_cast<EventKind>(load<uint32_t>(out, at + 4)), std::span<const uint8_t>(out).subspan(at, bytes));
    at += bytes;
  }
  return filled;
}

void order_and_batches(Random random) {
  unsigned wakes = 0;
  EventQueue queue([&] { ++wakes; });
  Bytes out(4096);
  CHECK(queue.drain(out) == 0);
  uint64_t pushed = 0, seen = 0;
  const auto take = [&](EventKind kind, std::span<const uint8_t> record) {
    CHECK(kind == EventKind::kRequest && load<uint64_t>(record, 16) == seen);
    const auto body = load<uint32_t>(record, 36);
    CHECK(record.size() == (40 + size_t{body} + 7) / 8 * 8);
    for (uint32_t at = 0; at < body; ++at) CHECK(record[40 + at] == static_cast<uint8_t>(seen));
    for (size_t at = 40 + body; at < record.size(); ++at) CHECK(record[at] == 0, "padding is not zero");
    ++seen;
  };
  for (int round = 0; round < 300; ++round) {
    const unsigned before = wakes;
    const bool was_empty = pushed == seen;
    const uint64_t burst = random.between(1, 30);
    for (uint64_t at = 0; at < burst; ++at) {
      const Bytes body(random.below(300), static_cast<uint8_t>(pushed));
      CHECK(queue.push(EventKind::kRequest, RequestEvent{0, 1, pushed++, 0, 0, 0, static_cast<uint32_t>(body.size())}, body));
    }
    CHECK(wakes - before == (was_empty ? 1 : 0), "woken " << wakes - before << " times by one burst");
    // Less than a burst, so that something is left; the space holds any one record.
    out.assign(random.between(400, 4096), 0xee);
    for (uint64_t batches = random.between(1, 6); batches > 0; --batches) drain(queue, out, take);
  }
  while (drain(queue, out, take) > 0) {}
  CHECK(seen == pushed);
  queue.mute();
  const unsigned before = wakes;
  CHECK(queue.push(EventKind::kRequest, RequestEvent{}) && wakes == before);
  pass("records come whole and in order, in batches of any size, with one wake for each burst");
}

void losses() {
  EventQueue queue({});
  Bytes out(kBatch);
  uint64_t observed = 0, lost = 0;
  for (uint32_t at = 0; at < 300'000; ++at) (queue.push(EventKind::kReadObserved, ReadObservedEvent{1, 1, at}) ? observed : lost) += 1;
  CHECK(lost > 0 && observed == EventQueue::kLossyBytesMax / 24);
  // What must not be lost goes on.
  CHECK(queue.push(EventKind::kReadWaiting, ReadEvent{}) && queue.push(EventKind::kReadEnded, ReadEndedEvent{}));
  const Bytes body(1u << 20);
  uint64_t requests = 0;
  while (queue.push(EventKind::kRequest, RequestEvent{}, body)) ++requests;
  CHECK(requests == (EventQueue::kRequestBytesMax - EventQueue::kLossyBytesMax) / (body.size() + 40));
  CHECK(queue.push(EventKind::kForget, ReleasedEvent{}) && queue.push(EventKind::kReadEnded, ReadEndedEvent{}));
  CHECK(!queue.push(EventKind::kRequest, RequestEvent{}, Bytes(EventQueue::kRecordBytesMax)));
  uint64_t counts[11] = {}, told_lost = 0;
  while (drain(queue, out, [&](EventKind kind, std::span<const uint8_t> record) {
           ++counts[static_cast<int>(kind)];
           if (kind == EventKind::kProblem) told_lost += load<uint64_t>(record, 16);
         }) > 0) {}
  CHECK(counts[6] == observed && counts[4] == 1 && counts[5] == 2 && counts[1] == requests && counts[2] == 1);
  CHECK(told_lost == lost, told_lost << " told, " << lost << " lost");
  CHECK(queue.push(EventKind::kReadObserved, ReadObservedEvent{}));
  pass("only observations are lost under load, and all of those are counted");
}

// Many push, one drains when it is woken and never else: nothing stays behind.
void many_threads() {
  constexpr uint64_t kThreads = 4, kEach = 20'000;
  std::atomic<unsigned> wakes{0};
  EventQueue queue([&] {
    ++wakes;
    wakes.notify_one();
  });
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&queue, thread] {
      for (uint64_t at = 0; at < kEach; ++at) queue.push(EventKind::kReleased, ReleasedEvent{thread, at});
    });
  uint64_t next[kThreads] = {}, seen = 0;
  Bytes out(1000);
  for (unsigned heard = 0; seen < kThreads * kEach;) {
    wakes.wait(heard);
    heard = wakes;
    while (drain(queue, out, [&](EventKind, std::span<const uint8_t> record) {
             CHECK(next[load<uint64_t>(record, 8)]++ == load<uint64_t>(record, 16));
             ++seen;
           }) > 0) {}
  }
  for (std::thread& thread : threads) thread.join();
  pass("no wake is missed, and each thread's records keep their order");
}

size_t resident_bytes() {
  size_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

// An event loop that is always a little behind.
void never_empty() {
  constexpr size_t kBytes = 256u << 20, kRoom = 128u << 20;
  EventQueue queue({});
  const Bytes body((1u << 20) - 40);
  Bytes out(kBatch);
  queue.push(EventKind::kRequest, RequestEvent{}, body);
  const size_t before = resident_bytes();
  for (size_t bytes = 0; bytes < kBytes; bytes += body.size()) {
    CHECK(queue.push(EventKind::kRequest, RequestEvent{}, body));
    CHECK(queue.drain(std::span(out).first(body.size() + 40)) > 0);
  }
  const size_t after = resident_bytes();
  CHECK(after < before + kRoom, "grown by " << ((after - before) >> 20) << " MiB");
  pass("a queue that is never quite empty does not grow");
}

// Whoever muted the queue may take away what the wake uses.
void mute_excludes_wakes() {
  for (int round = 0; round < 200; ++round) {
    auto target = std::make_unique<uint64_t>(0);
    EventQueue queue([used = target.get()] { ++*used; });
    std::atomic<bool> go{false};
    std::thread pusher([&] {
      Bytes out(4096);
      go = true;
      for (int at = 0; at < 50; ++at) {
        queue.push(EventKind::kReleased, ReleasedEvent{});
        queue.drain(out);
      }
    });
    while (!go) std::this_thread::yield();
    queue.mute();
    target.reset();
    pusher.join();
  }
  pass("no wake is under way when the queue is muted");
}

}  // namespace

void run_event_cases(uint64_t seed) {
  order_and_batches(Random(seed));
  losses();
  many_threads();
  never_empty();
  mute_excludes_wakes();
}

}  // namespace sluice::test

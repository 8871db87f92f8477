// Requests that wait for JavaScript and reads that wait for bytes, beside a model: each is ended once, whoever asks.
#include <cerrno>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "../parked_reads.h"
#include "../pending_requests.h"
#include "cases.h"
#include "check.h"
#include "random.h"
#include "test_file.h"

namespace sluice::test {
namespace {

PendingRequest request_of(uint64_t unique, bool interruptible) {
  PendingRequest request{};
  request.unique = unique;
  request.interruptible = interruptible;
  request.thread_id = static_cast<uint32_t>(unique);
  return request;
}

const auto keep = [](uint32_t) { return true; };
const auto everybody = [](uint32_t) { return true; };

void slots_and_generations() {
  PendingRequests pending;
  const auto first = pending.add(request_of(2, true), keep);
  CHECK(first && pending.peek(*first)->unique == 2 && pending.waiting() == 1 && pending.oldest());
  CHECK(pending.take(*first)->unique == 2 && !pending.take(*first) && !pending.peek(*first) && pending.waiting() == 0);
  // The same place, again and again: no number comes back before its generations have passed.
  std::set<uint32_t> seen{*first};
  for (uint64_t at = 1; at < 1u << 15; ++at) {
    const auto slot = pending.add(request_of(2 + at * 2, true), keep);
    CHECK(slot && seen.insert(*slot).second, "slot " << *slot << " came back after " << at);
    CHECK(!pending.peek(*first) && pending.take(*slot));
  }
  CHECK(!pending.take(~0u) && !pending.take(12345) && !pending.peek(1u << 17));
  CHECK(!pending.add(request_of(1, true), [](uint32_t) { return false; }) && pending.waiting() == 0);
  pass("a slot's number is not given again soon, and answers once");
}

void slots_run_out() {
  PendingRequests pending;
  std::vector<uint32_t> slots;
  while (const auto slot = pending.add(request_of(2 + slots.size() * 2, false), keep)) slots.push_back(*slot);
  CHECK(slots.size() == 1u << 17, slots.size());
  CHECK(pending.take(slots[5]) && pending.add(request_of(1'000'000, false), keep));
  CHECK(pending.close().size() == 1u << 17 && !pending.add(request_of(1'000'002, false), keep));
  pass("there are as many slots as there are, and no more");
}

void random_requests(Random random) {
  struct Known {
    uint64_t unique;
    bool interruptible, interrupted = false, answered = false;
  };
  PendingRequests pending;
  std::map<uint32_t, Known> model;
  uint64_t unique = 0;
  for (int step = 0; step < 20'000; ++step) {
    const auto any = [&] { return std::next(model.begin(), static_cast<ptrdiff_t>(random.below(model.size()))); };
    const uint64_t what = random.below(10);
    if (what < 4 || model.empty()) {
      const bool interruptible = random.percent(70);
      const auto slot = pending.add(request_of(unique += 2, interruptible), keep);
      CHECK(slot && model.emplace(*slot, Known{unique, interruptible}).second);
    } else if (what < 8) {
      const auto at = any();
      const auto taken = pending.take(at->first);
      CHECK(taken && taken->unique == at->second.unique && taken->answered == at->second.answered);
      CHECK(!pending.take(at->first) && !pending.interrupt(at->second.unique));
      model.erase(at);
    } else if (what < 9) {
      const auto at = any();
      CHECK(pending.interrupt(at->second.unique));
      at->second.interrupted = true;
    } else {
      std::set<uint64_t> expected, answered;
      for (auto& [slot, known] : model)
        if (known.interrupted && known.interruptible && !known.answered) {
          known.answered = true;
          expected.insert(known.unique);
        }
      CHECK(pending.has_interrupted() == !expected.empty());
      for (const auto& request : pending.answer_leaving(everybody)) CHECK(answered.insert(request.unique).second);
      CHECK(answered == expected && pending.answer_leaving(everybody).empty());
    }
    CHECK(pending.waiting() == model.size());
  }
  size_t unanswered = 0;
  for (const auto& [slot, known] : model) unanswered += !known.answered;
  CHECK(pending.close().size() == unanswered && pending.close().empty());
  for (const auto& [slot, known] : model) CHECK(pending.take(slot)->answered);
  CHECK(pending.waiting() == 0 && !pending.oldest());
  pass("requests are answered early at most once, and keep their slots");
}

Read read_of(uint64_t id, const std::shared_ptr<LocalFile>& file, uint64_t offset) {
  Read read{};
  read.unique = id * 2;
  read.file = file;
  read.offset = offset;
  read.length = 100;
  read.thread_id = static_cast<uint32_t>(id);
  read.since = SteadyTime(std::chrono::seconds(id));
  read.id = id;
  return read;
}

void parked_reads_alone() {
  TestFile one(1, 8 * TestFile::kPageBytes), two(2, 8 * TestFile::kPageBytes);
  ParkedReads parked;
  const auto nothing = [] {};
  for (uint64_t id = 1; id <= 8; ++id)
    CHECK(parked.park(read_of(id, (id % 2 != 0 ? one : two).local(), (id - 1) * TestFile::kPageBytes), nothing) == id);
  CHECK(parked.oldest() == SteadyTime(std::chrono::seconds(1)) && parked.size() == 8);
  CHECK(parked.park(*parked.take(1), nothing) == 8);
  CHECK(parked.oldest() == SteadyTime(std::chrono::seconds(1)), "one that is parked again came first nevertheless");
  CHECK(parked.take_ready(*one.local()).empty());
  one.fill(0, 3 * TestFile::kPageBytes);
  two.fill_all();
  const auto ready = parked.take_ready(*one.local());
  CHECK(ready.size() == 2 && ready[0].id == 3 && ready[1].id == 1);
  CHECK(parked.take(4)->id == 4 && !parked.take(4) && !parked.take(1));
  CHECK(parked.interrupt(10) && !parked.interrupt(8) && parked.has_interrupted());
  CHECK(parked.take_leaving([](uint32_t) { return false; }).empty());
  CHECK(parked.take_leaving(everybody).size() == 1 && !parked.has_interrupted());
  CHECK(parked.take_older_than(SteadyTime(std::chrono::seconds(6))).size() == 2 && parked.size() == 2);
  CHECK(parked.take_of(*two.local()).size() == 1 && parked.close().size() == 1);
  bool told = false;
  CHECK(parked.park(read_of(9, one.local(), 0), [&] { told = true; }) == 0 && !told && parked.size() == 0);
  pass("a parked read is taken out by what it waits for, and by nothing else");
}

// Every way out at once: each read leaves by exactly one.
void parked_reads_are_taken_once() {
  constexpr uint64_t kReads = 3000;
  TestFile file(3, TestFile::kPageBytes);
  file.fill_all();
  ParkedReads parked;
  std::vector<std::atomic<int>> taken(kReads + 1);
  std::atomic<bool> done{false};
  std::vector<std::thread> takers;
  const auto taker = [&](auto take) {
    takers.emplace_back([&, take] {
      while (!done)
        for (const Read& read : take()) ++taken[read.id];
    });
  };
  taker([&] { return parked.take_ready(*file.local()); });
  taker([&] { return parked.take_older_than(SteadyTime::max()); });
  taker([&] { return parked.take_of(*file.local()); });
  for (uint64_t id = 1; id <= kReads; ++id) {
    CHECK(parked.park(read_of(id, file.local(), 0), [] {}) > 0);
    if (parked.take(id)) ++taken[id];
  }
  done = true;
  for (std::thread& thread : takers) thread.join();
  for (const Read& read : parked.close()) ++taken[read.id];
  for (uint64_t id = 1; id <= kReads; ++id) CHECK(taken[id] == 1, "read " << id << " was taken " << taken[id] << " times");
  pass("of all who want a parked read one gets it");
}

}  // namespace

void run_pending_cases(uint64_t seed) {
  slots_and_generations();
  slots_run_out();
  random_requests(Random(seed));
  parked_reads_alone();
  parked_reads_are_taken_once();
}

}  // namespace sluice::test

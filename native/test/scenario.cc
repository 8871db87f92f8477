#include "scenario.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>

#include "actors.h"
#include "check.h"
#include "leaks.h"

namespace sluice::test {
namespace {

enum class End { kOrderly, kStop, kHangUp };

struct Plan {
  unsigned threads, files, readers, operators, publishers, opens, punch_percent;
  std::chrono::milliseconds deadline;
  bool short_deadline, trace, passthrough, cut, stop_twice, hostile;
  HostOptions host;
  End end;
  uint64_t end_after_us;
};

Plan make_plan(Random& random) {
  Plan plan{};
  plan.threads = static_cast<unsigned>(random.between(1, 4));
  plan.files = static_cast<unsigned>(random.between(1, 4));
  plan.readers = static_cast<unsigned>(random.between(1, 4));
  plan.operators = static_cast<unsigned>(random.between(0, 2));
  plan.publishers = static_cast<unsigned>(random.between(1, 3));
  plan.opens = static_cast<unsigned>(random.between(1, 4));
  plan.punch_percent = random.percent(40) ? 30 : 0;
  plan.short_deadline = random.percent(30);
  plan.deadline = std::chrono::milliseconds(plan.short_deadline ? random.between(1, 10) : 30'000);
  plan.trace = random.percent(30);
  plan.passthrough = random.percent(50);
  plan.cut = random.percent(20);
  plan.stop_twice = random.percent(20);
  plan.hostile = random.percent(15);
  plan.host = {.trace_reads = plan.trace,
               .short_deadline = plan.short_deadline,
               .mischief_percent = random.percent(50) ? 20u : 0u,
               .fail_percent = random.percent(30) ? 10u : 0u,
               .close_percent = random.percent(20) ? 2u : 0u,
               .block_percent = random.percent(30) ? 20u : 0u};
  plan.end = random.percent(50) ? End::kOrderly : random.percent(50) ? End::kStop : End::kHangUp;
  plan.end_after_us = random.below(30'000);
  return plan;
}

// Answers for callers at random, and remembers whom it let go.
class Callers {
 public:
  explicit Callers(uint64_t seed) : random_(seed) {}
  bool leaves(uint32_t thread_id) {
    std::lock_guard lock(mutex_);
    const bool leaves = random_.percent(40);
    if (leaves) CHECK(left_.insert(thread_id).second, "a caller that left was asked again");
    return leaves;
  }
  size_t left() {
    std::lock_guard lock(mutex_);
    return left_.size();
  }

 private:
  std::mutex mutex_;
  Random random_;
  std::unordered_set<uint32_t> left_;
};

SessionOptions options_of(const Plan& plan, FakeKernel& kernel, FakeHost& host, Callers& callers) {
  SessionOptions options;
  options.descriptor = kernel.descriptor();
  options.threads = plan.threads;
  options.clone_descriptors = false;
  options.read_deadline = plan.deadline;
  options.passthrough = plan.passthrough;
  options.trace_reads = plan.trace;
  options.wake = [&host] { host.wake(); };
  options.caller_leaves = [&callers](uint32_t id) { return callers.leaves(id); };
  return options;
}

void stop(const Plan& plan, Run& run, FakeHost& host, Session& session) {
  run.stopping = true;
  host.announce_stop();
  if (!plan.stop_twice) return session.stop();
  std::thread other([&] { session.stop(); });
  session.stop();
  other.join();
}

void check_figures(const Run& run, const FakeKernel& kernel, const FakeHost& host, Callers& callers, const SessionStats& stats,
                   End end) {
  // What the kernel no longer heard cannot be compared.
  if (end == End::kHangUp) return;
  CHECK(stats.reads_served == run.reads_ok && stats.bytes_read == run.bytes);
  // A read behind its handle's release is JavaScript's.
  if (!run.hostile) CHECK(stats.reads_failed == run.reads_failed, stats.reads_failed << " and " << run.reads_failed);
  CHECK(host.failed_reads() == run.failed_by_host, host.failed_reads() << " and " << run.failed_by_host);
  CHECK(kernel.counts().interrupted == callers.left(), kernel.counts().interrupted << " and " << callers.left());
  if (end == End::kOrderly) CHECK(stats.requests_malformed == run.malformed);
}

void run_plan(Random& random, const Plan& plan, LeakCheck& leaks) {
  Files files;
  for (unsigned at = 0; at < plan.files; ++at) {
    const bool is_small = random.percent(20);
    files.push_back(std::make_shared<TestFile>(random.next(), random.between(1, is_small ? 5'000 : 600'000)));
    leaks.watch(*files.back());
  }
  FakeKernel kernel;
  FakeHost host(random.next(), plan.host, kernel, files);
  Callers callers(random.next());
  Run run(kernel, files, plan.short_deadline, plan.hostile, plan.punch_percent);
  auto session = Session::start(options_of(plan, kernel, host, callers));
  host.start(session);
  CHECK(kernel.negotiate());

  std::vector<std::thread> actors;
  for (unsigned at = 0; at < plan.readers; ++at)
    actors.emplace_back([&run, &plan, own = random.fork()] { read_files(run, own, plan.opens); });
  for (unsigned at = 0; at < plan.operators; ++at)
    actors.emplace_back([&run, own = random.fork()] { use_operations(run, own, 60); });
  std::vector<std::thread> publishers;
  for (unsigned at = 0; at < plan.publishers; ++at)
    publishers.emplace_back(
        [&run, &plan, session, at, own = random.fork()] { fill_files(run, own, session, at, plan.publishers); });
  const auto join = [](std::vector<std::thread>& threads) {
    for (std::thread& thread : threads) thread.join();
  };
  const auto cut_one = [&] {
    join(publishers);
    TestFile& file = *files[random.below(files.size())];
    if (plan.cut) file.cut(random.below(file.size()));
  };

  if (plan.end == End::kOrderly) {
    cut_one();
    join(actors);
    CHECK(kernel.await([&] { return kernel.all_answered(); }), "not all was answered");
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(plan.end_after_us));
  }
  if (plan.end == End::kHangUp) kernel.hang_up();
  stop(plan, run, host, *session);
  const SessionStats stats = session->stats();
  CHECK(stats.replies_refused == 0 || plan.end == End::kHangUp);
  kernel.settle();
  if (plan.end != End::kOrderly) {
    cut_one();
    join(actors);
  }
  host.finish();
  check_figures(run, kernel, host, callers, stats, plan.end);
}

}  // namespace

void run_scenario(uint64_t seed) {
  Random random(seed);
  const Plan plan = make_plan(random);
  LeakCheck leaks;
  run_plan(random, plan, leaks);
  leaks.check();
}

}  // namespace sluice::test

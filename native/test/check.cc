#include "check.h"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace sluice::test {
namespace {

std::atomic<uint64_t> seed_now{0};
std::atomic<unsigned> passed{0};

}  // namespace

void fail(const char* file, int line, const char* condition, const std::string& details) {
  // Never unlocked: one thread tells its failure, the others hold still.
  static std::mutex once;
  once.lock();
  const unsigned good = passed.load();
  std::printf("not ok %u - %s:%d: %s %s (seed %llu)\n", good + 1, file, line, condition, details.c_str(),
              static_cast<unsigned long long>(seed_now.load()));
  std::printf("# { total: %u, pass: %u, fail: 1 }\n", good + 1, good);
  std::fflush(stdout);
  std::_Exit(1);
}

void set_seed(uint64_t seed) { seed_now = seed; }

void pass(const std::string& title) {
  std::printf("ok %u - %s\n", passed.fetch_add(1) + 1, title.c_str());
  std::fflush(stdout);
}

void print_summary() {
  const unsigned good = passed.load();
  std::printf("1..%u\n# { total: %u, pass: %u }\n", good, good, good);
}

}  // namespace sluice::test

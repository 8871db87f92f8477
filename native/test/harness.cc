// Drives the native session from a fake kernel and a fake JavaScript: first what has one right answer, then random runs.
// Built under ThreadSanitizer, AddressSanitizer with UBSan, and plainly: make native-test.
//
//   harness [--seed N] [--runs N]     run i has the seed N + i; a failure names it
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "cases.h"
#include "check.h"
#include "scenario.h"

int main(int argc, char** argv) {
  uint64_t seed = std::random_device()();
  uint64_t runs = 100;
  for (int at = 1; at + 1 < argc; at += 2) {
    const std::string option = argv[at];
    uint64_t* value = option == "--seed" ? &seed : option == "--runs" ? &runs : nullptr;
    if (value == nullptr) return std::fprintf(stderr, "%s is no option\n", argv[at]), 2;
    *value = std::strtoull(argv[at + 1], nullptr, 10);
  }
  // As Node.js has it: a reply to a connection that is gone is an error, no signal.
  std::signal(SIGPIPE, SIG_IGN);
  std::printf("# seed %llu, %llu runs\n", static_cast<unsigned long long>(seed), static_cast<unsigned long long>(runs));
  sluice::test::set_seed(seed);
  sluice::test::run_request_cases();
  sluice::test::run_availability_cases(seed);
  sluice::test::run_checksum_cases(seed);
  sluice::test::run_file_cases(seed);
  sluice::test::run_event_cases(seed);
  sluice::test::run_pending_cases(seed);
  sluice::test::run_open_file_cases(seed);
  sluice::test::run_caller_cases();
  sluice::test::run_expired_read_cases();
  sluice::test::run_session_cases();
  sluice::test::run_race_cases(seed);
  for (uint64_t run = 0; run < runs; ++run) {
    sluice::test::set_seed(seed + run);
    sluice::test::run_scenario(seed + run);
    sluice::test::pass("a run with seed " + std::to_string(seed + run));
  }
  sluice::test::print_summary();
  return 0;
}

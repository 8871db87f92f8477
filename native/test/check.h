// Checks of the harness: the first that fails prints its file, line and the seed to replay it from, and ends the process
// with status 1. What was passed is counted and printed as TAP, so that .ci/run sums it with the other tests.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>

namespace sluice::test {

[[noreturn]] void fail(const char* file, int line, const char* condition, const std::string& details);

// The seed that a failure names from now on, on whichever thread.
void set_seed(uint64_t seed);
// One more test has passed.
void pass(const std::string& title);
// The last line of the output.
void print_summary();

}  // namespace sluice::test

// CHECK(condition) or CHECK(condition, "what " << was << " seen").
#define CHECK(condition, ...)                                                                             \
  do {                                                                                                    \
    if (!(condition)) {                                                                                   \
      std::ostringstream check_details;                                                                   \
      check_details << "" __VA_OPT__(<< __VA_ARGS__);                                                     \
      ::sluice::test::fail(__FILE__, __LINE__, #condition, check_details.str());                          \
    }                                                                                                     \
  } while (false)

// The checks that have one right answer, by what they look at. Each ends the process when it fails, and counts its tests.
#pragma once

#include <cstdint>

namespace sluice::test {

// Parts alone.
void run_request_cases();
void run_availability_cases(uint64_t seed);
void run_checksum_cases(uint64_t seed);
void run_file_cases(uint64_t seed);
void run_event_cases(uint64_t seed);
void run_pending_cases(uint64_t seed);
void run_open_file_cases(uint64_t seed);
void run_caller_cases();
void run_expired_read_cases();
// A session, step by step.
void run_session_cases();
// A session in schedules that are rare by themselves, many times over.
void run_race_cases(uint64_t seed);

}  // namespace sluice::test

// One random run of a session from INIT to its end: everything at once, and then every account must be even.
#pragma once

#include <cstdint>

namespace sluice::test {

void run_scenario(uint64_t seed);

}  // namespace sluice::test

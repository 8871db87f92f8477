// Random numbers that follow from a seed (splitmix64), so that a run's choices can be replayed; its schedule cannot.
#pragma once

#include <cstdint>

namespace sluice::test {

constexpr uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(mix(seed)) {}

  uint64_t next() { return mix(state_++); }
  // 0 ≤ result < limit; limit > 0.
  uint64_t below(uint64_t limit) { return next() % limit; }
  // min ≤ result ≤ max.
  uint64_t between(uint64_t min, uint64_t max) { return min + below(max - min + 1); }
  bool percent(unsigned chance) { return below(100) < chance; }
  // For a thread or a thing of its own.
  Random fork() { return Random(next()); }

 private:
  uint64_t state_;
};

}  // namespace sluice::test

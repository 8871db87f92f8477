// What a session must not leave behind in the process: threads, descriptors, local files.
#pragma once

#include <memory>
#include <vector>

#include "fake_host.h"

namespace sluice::test {

class LeakCheck {
 public:
  // Before anything of the run exists.
  LeakCheck();
  // Whose memory must have been freed at the end.
  void watch(const TestFile& file) { memory_.push_back(file.memory()); }
  // When everything of the run has gone. Threads that have said goodbye may take a moment to leave.
  void check() const;

 private:
  size_t descriptors_;
  std::vector<std::weak_ptr<void>> memory_;
};

}  // namespace sluice::test

#include "leaks.h"

#include <filesystem>
#include <fstream>

#include "check.h"

namespace sluice::test {
namespace {

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

bool session_threads_run() {
  std::error_code gone;
  for (auto at = std::filesystem::directory_iterator("/proc/self/task", gone); at != std::filesystem::directory_iterator();
       at.increment(gone)) {
    std::string name;
    std::ifstream(at->path() / "comm") >> name;
    if (name.starts_with("sluice-")) return true;
  }
  return false;
}

}  // namespace

LeakCheck::LeakCheck() : descriptors_(open_descriptors()) {}

void LeakCheck::check() const {
  const auto limit = std::chrono::steady_clock::now() + kHangLimit;
  while (session_threads_run()) {
    CHECK(std::chrono::steady_clock::now() < limit, "a thread of the session is left");
    std::this_thread::yield();
  }
  CHECK(open_descriptors() == descriptors_, open_descriptors() << " descriptors, before " << descriptors_);
  for (const auto& memory : memory_) CHECK(memory.expired(), "the memory of a local file is still held");
}

}  // namespace sluice::test

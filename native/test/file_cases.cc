// Mappings, locks and ranges of files: what the addon hands on to JavaScript, under the sanitizers.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "../checksums.h"
#include "../file_mapping.h"
#include "../file_range.h"
#include "cases.h"
#include "check.h"
#include "random.h"

namespace sluice::test {
namespace {

constexpr uint64_t kPage = 4096;

// A file without a name.
class File {
 public:
  explicit File(uint64_t bytes) : fd_(::memfd_create("sluice-test", MFD_CLOEXEC)) {
    CHECK(fd_ >= 0 && ::ftruncate(fd_, static_cast<off_t>(bytes)) == 0);
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int fd() const { return fd_; }
  std::shared_ptr<FileMapping> map(uint64_t offset, size_t bytes) const {
    int error = 0;
    auto mapping = FileMapping::map(fd_, offset, bytes, error);
    CHECK(mapping != nullptr && error == 0 && mapping->bytes() == bytes, "errno " << error);
    return mapping;
  }

 private:
  const int fd_;
};

void ranges_that_are_not_there() {
  const File file(2 * kPage + 1);
  for (const auto& [offset, bytes] : {std::pair{uint64_t{0}, 2 * kPage + 2}, {3 * kPage, uint64_t{1}}, {~0ull - kPage + 1, kPage}}) {
    int error = 0;
    CHECK(FileMapping::map(file.fd(), offset, bytes, error) == nullptr && error == EINVAL);
  }
  int error = 0;
  CHECK(FileMapping::map(-1, 0, 1, error) == nullptr && error == EBADF);
  CHECK(file.map(2 * kPage, 1) != nullptr);
  pass("only what is in a file is mapped");
}

void bits_of_many_threads() {
  constexpr unsigned kThreads = 4;
  constexpr size_t kWords = 2048;
  const File file(kWords * 4);
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&file, thread] {
      const auto mapping = file.map(0, kWords * 4);
      auto* words = reinterpret_cast<uint32_t*>(mapping->data());
      for (unsigned bit = thread; bit < kWords * 32; bit += kThreads)
        std::atomic_ref<uint32_t>(words[bit / 32]).fetch_or(1u << (bit % 32));
    });
  for (std::thread& thread : threads) thread.join();
  const auto mapping = file.map(0, kWords * 4);
  const auto* words = reinterpret_cast<const uint32_t*>(mapping->data());
  for (size_t at = 0; at < kWords; ++at) CHECK(words[at] == ~0u, "word " << at);
  pass("of what threads write into mappings of one file at once nothing is lost");
}

void mappings_by_address() {
  const File file(4 * kPage);
  FileMappings mappings;
  auto first = file.map(0, 2 * kPage), second = file.map(kPage, 100);
  const std::weak_ptr<FileMapping> watched = first;
  mappings.add(first);
  mappings.add(second);
  CHECK(mappings.holding(first->data()) == first && mappings.holding(first->data() + 2 * kPage - 1) == first);
  CHECK(mappings.holding(second->data() + 99) == second && mappings.holding(second->data() + 100) == nullptr);
  CHECK(mappings.holding(nullptr) == nullptr && mappings.holding(&file) == nullptr);
  mappings.remove(*first);
  CHECK(mappings.holding(first->data()) == nullptr && mappings.holding(second->data()) == second);
  first.reset();
  CHECK(watched.expired());
  pass("a mapping is known by every address in it, while JavaScript has it");
}

void locks() {
  char path[] = "/tmp/sluice-lock-XXXXXX";
  const int first = ::mkostemp(path, O_CLOEXEC);
  const int second = ::open(path, O_RDWR | O_CLOEXEC);
  CHECK(first >= 0 && second >= 0 && ::unlink(path) == 0);
  CHECK(lock_file(first) == 0 && lock_file(first) == 0 && lock_file(second) == EWOULDBLOCK);
  ::close(first);
  CHECK(lock_file(second) == 0);
  ::close(second);
  CHECK(lock_file(second) == EBADF);
  pass("a lock belongs to one open of a file and ends with it");
}

void checksums_and_holes(Random random) {
  std::vector<uint8_t> bytes(1'000'000);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
  const File file(0);
  CHECK(::pwrite(file.fd(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  const auto check = [&](uint64_t start, uint64_t end) {
    uint32_t crc = 1;
    CHECK(checksum_range(file.fd(), start, end, crc) == 0 && crc == crc32c(bytes.data() + start, end - start, 0));
  };
  for (int times = 0; times < 20; ++times) {
    const uint64_t start = random.below(bytes.size());
    check(start, random.between(start + 1, bytes.size()));
  }
  CHECK(punch_hole(file.fd(), 3 * kPage, 100 * kPage) == 0);
  std::fill(bytes.begin() + 3 * kPage, bytes.begin() + 100 * kPage, 0);
  check(0, bytes.size());
  uint32_t crc = 0;
  CHECK(checksum_range(file.fd(), 0, bytes.size() + 1, crc) == ENODATA && checksum_range(-1, 0, 1, crc) == EBADF);
  CHECK(punch_hole(-1, 0, 1) == EBADF);
  pass("ranges of files are summed, and holes in them are zeros");
}

}  // namespace

void run_file_cases(uint64_t seed) {
  ranges_that_are_not_there();
  bits_of_many_threads();
  mappings_by_address();
  locks();
  checksums_and_holes(Random(seed));
}

}  // namespace sluice::test

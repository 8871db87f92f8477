// Availability beside a model that keeps a flag for each byte, at all boundaries.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "../availability.h"
#include "cases.h"
#include "check.h"
#include "random.h"
#include "test_file.h"

namespace sluice::test {
namespace {

constexpr uint64_t kPage = SharedAvailability::kPageBytes;

class Model {
 public:
  explicit Model(uint64_t size) : shared_(size), reader_(shared_.memory(), shared_.bytes()), there_(size) {
    CHECK(reader_.valid() && reader_.size() == size);
  }

  void publish(uint64_t start, uint64_t end) {
    shared_.publish(start, end);
    std::memset(there_.data() + start, 1, end - start);
    gap_ = first_missing(0, size());
  }

  void clear(uint64_t start, uint64_t end) {
    const uint32_t before = reader_.generation();
    shared_.clear(start, end);
    CHECK(reader_.generation() == before + 1);
    std::memset(there_.data() + start, 0, end - start);
    gap_ = first_missing(0, size());
  }

  // Never more than was published; and all of it, but for a page that is cut and does not continue the prefix.
  void check(uint64_t start, uint64_t end) const {
    const bool has = reader_.has(start, end);
    CHECK(!has || first_missing(start, end) == end, "[" << start << ", " << end << ") is not there");
    const uint64_t last_page = std::min((end + kPage - 1) / kPage * kPage, size());
    const bool all_pages = first_missing(start / kPage * kPage, last_page) == last_page;
    CHECK(has == (all_pages || end <= reader_.contiguous()), "[" << start << ", " << end << ")");
    CHECK(reader_.contiguous() <= gap_ && reader_.complete() == (gap_ == size()));
  }

  uint64_t size() const { return there_.size(); }

 private:
  uint64_t first_missing(uint64_t start, uint64_t end) const {
    const void* found = std::memchr(there_.data() + start, 0, end - start);
    return found == nullptr ? end : static_cast<uint64_t>(static_cast<const uint8_t*>(found) - there_.data());
  }

  SharedAvailability shared_;
  Availability reader_;
  // One for each byte.
  std::vector<uint8_t> there_;
  uint64_t gap_ = 0;
};

void check_near(const Model& model, uint64_t position) {
  for (int64_t from = -2; from <= 2; ++from)
    for (int64_t to = -2; to <= 2; ++to) {
      const auto start = static_cast<int64_t>(position) + from;
      for (const uint64_t length : {uint64_t{1}, kPage, 33 * kPage}) {
        const int64_t end = start + static_cast<int64_t>(length) + to;
        if (start < 0 || end <= start || end > static_cast<int64_t>(model.size())) continue;
        model.check(static_cast<uint64_t>(start), static_cast<uint64_t>(end));
      }
    }
}

void boundaries(Random random) {
  // One byte, around a page, around a word of 32 pages, 65 words with a cut page at the end.
  for (const uint64_t size : {uint64_t{1}, kPage - 1, kPage, kPage + 1, 32 * kPage, 32 * kPage + 1, 65 * 32 * kPage + 77}) {
    Model model(size);
    const uint64_t pages = (size + kPage - 1) / kPage;
    for (int steps = 0; steps < 12; ++steps) {
      const uint64_t first = random.below(pages);
      const uint64_t start = (steps % 3 == 0 ? 0 : first) * kPage;
      const uint64_t longest = std::min(size - start, random.percent(50) ? 3 * kPage : size);
      const uint64_t end = start + random.between(1, longest);
      if (steps % 4 == 3) model.clear(start, std::min((end + kPage - 1) / kPage * kPage, size));
      else model.publish(start, end);
      for (const uint64_t at : {start, end, end / kPage * kPage, uint64_t{0}, size, start / (32 * kPage) * 32 * kPage})
        check_near(model, at);
      for (int tries = 0; tries < 20; ++tries) {
        const uint64_t from = random.below(size);
        model.check(from, random.between(from + 1, size));
      }
    }
    model.publish(0, size);
    model.check(0, size);
  }
  pass("what is available is what was published and not cleared, at every boundary");
}

void forged_memory() {
  alignas(8) uint8_t memory[Availability::kHeaderBytes + 8] = {};
  const auto is_valid = [&](int64_t size, int32_t page_log2, size_t bytes, size_t shift = 0) {
    std::memcpy(memory + 16, &size, 8);
    std::memcpy(memory + 24, &page_log2, 4);
    return Availability(memory + shift, bytes).valid();
  };
  CHECK(is_valid(0, 12, 64) && is_valid(32 * 4096, 12, 68) && is_valid(1ll << 40, 40, 68));
  CHECK(!is_valid(32 * 4096 + 1, 12, 68) && !is_valid(1, 12, 67) && !is_valid(0, 12, 63) && !is_valid(0, 12, 0));
  CHECK(!is_valid(0, 11, 72) && !is_valid(0, 41, 72) && !is_valid(0, -1, 72));
  CHECK(!is_valid(-1, 12, 72) && !is_valid(1ll << 48, 40, 72) && !is_valid(INT64_MAX, 12, 72));
  pass("memory that is no availability is refused");
}

}  // namespace

void run_availability_cases(uint64_t seed) {
  boundaries(Random(seed));
  forged_memory();
}

}  // namespace sluice::test

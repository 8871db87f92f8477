#include "pending_requests.h"

#include <algorithm>

namespace sluice {

std::optional<uint32_t> PendingRequests::claim(const PendingRequest& request) {
  uint32_t index;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else {
    if (slots_.size() == kSlotsMax) return std::nullopt;
    index = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  Slot& slot = slots_[index];
  slot.request = request;
  by_unique_[request.unique] = index;
  return index | slot.generation << kIndexBits;
}

void PendingRequests::release(uint32_t index) {
  Slot& slot = slots_[index];
  by_unique_.erase(slot.request->unique);
  slot.request.reset();
  slot.generation = (slot.generation + 1) & ((1u << (32 - kIndexBits)) - 1);
  free_.push_back(index);
}

const PendingRequests::Slot* PendingRequests::find(uint32_t slot) const {
  const uint32_t index = slot & kIndexMask;
  if (index >= slots_.size()) return nullptr;
  const Slot& found = slots_[index];
  return found.request && found.generation == slot >> kIndexBits ? &found : nullptr;
}

std::optional<PendingRequest> PendingRequests::peek(uint32_t slot) const {
  std::lock_guard lock(mutex_);
  const Slot* found = find(slot);
  if (found == nullptr) return std::nullopt;
  return found->request;
}

std::optional<PendingRequest> PendingRequests::take(uint32_t slot) {
  std::lock_guard lock(mutex_);
  const Slot* found = find(slot);
  if (found == nullptr) return std::nullopt;
  const PendingRequest request = *found->request;
  release(slot & kIndexMask);
  return request;
}

bool PendingRequests::interrupt(uint64_t unique) {
  std::lock_guard lock(mutex_);
  const auto found = by_unique_.find(unique);
  if (found == by_unique_.end()) return false;
  slots_[found->second].request->interrupted = true;
  return true;
}

std::vector<PendingRequest> PendingRequests::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  return answer_where([](const PendingRequest&) { return true; });
}

size_t PendingRequests::waiting() const {
  std::lock_guard lock(mutex_);
  return by_unique_.size();
}

bool PendingRequests::has_interrupted() const {
  std::lock_guard lock(mutex_);
  return std::any_of(by_unique_.begin(), by_unique_.end(), [&](const auto& entry) {
    const PendingRequest& request = *slots_[entry.second].request;
    return request.interrupted && request.interruptible && !request.answered;
  });
}

std::optional<std::chrono::steady_clock::time_point> PendingRequests::oldest() const {
  std::lock_guard lock(mutex_);
  std::optional<std::chrono::steady_clock::time_point> oldest;
  for (const auto& [unique, index] : by_unique_) {
    const auto since = slots_[index].request->since;
    if (!oldest || since < *oldest) oldest = since;
  }
  return oldest;
}

}  // namespace sluice

// Requests that JavaScript has and has not answered yet, by slot. A slot's number is never given again soon, so that a
// second answer is noticed; a request that is answered early (its caller leaves, the session ends) keeps its slot until
// JavaScript answers it, too.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace sluice {

struct PendingRequest {
  uint64_t unique;
  uint64_t node;
  uint32_t opcode;
  uint32_t thread_id;
  uint32_t reply_bytes_max;
  // May be answered before JavaScript does.
  bool interruptible;
  // Index of the descriptor to answer on.
  unsigned device;
  std::chrono::steady_clock::time_point since;
  bool interrupted = false;
  // The kernel has its answer.
  bool answered = false;
};

class PendingRequests {
 public:
  // The slot; nothing when `kSlotsMax` wait or the session ends. `then` runs under the lock with the slot and says whether
  // to keep it: the request is told to JavaScript in there, before anybody can answer it early.
  template <typename Then>
  std::optional<uint32_t> add(const PendingRequest& request, Then then) {
    std::lock_guard lock(mutex_);
    if (closed_) return std::nullopt;
    const auto slot = claim(request);
    if (!slot) return std::nullopt;
    if (then(*slot)) return slot;
    release(*slot & kIndexMask);
    return std::nullopt;
  }

  // The request without ending it; nothing when the slot holds none.
  std::optional<PendingRequest> peek(uint32_t slot) const;
  // Ends the slot. The caller answers the kernel unless `answered`.
  std::optional<PendingRequest> take(uint32_t slot);

  // Marks the request; false when it does not wait.
  bool interrupt(uint64_t unique);
  // Those that were interrupted and whose caller `leaves`, now answered: the caller tells the kernel.
  template <typename Leaves>
  std::vector<PendingRequest> answer_leaving(Leaves leaves) {
    return answer_where([&](const PendingRequest& request) {
      return request.interrupted && request.interruptible && leaves(request.thread_id);
    });
  }
  // All of them, now answered; no other is added.
  std::vector<PendingRequest> close();

  size_t waiting() const;
  bool has_interrupted() const;
  std::optional<std::chrono::steady_clock::time_point> oldest() const;

 private:
  static constexpr uint32_t kIndexBits = 17;
  static constexpr uint32_t kIndexMask = (1u << kIndexBits) - 1;
  static constexpr uint32_t kSlotsMax = 1u << kIndexBits;

  struct Slot {
    std::optional<PendingRequest> request;
    uint32_t generation = 0;
  };

  template <typename Condition>
  std::vector<PendingRequest> answer_where(Condition condition) {
    std::vector<PendingRequest> answered;
    std::lock_guard lock(mutex_);
    for (auto& [unique, index] : by_unique_) {
      PendingRequest& request = *slots_[index].request;
      if (request.answered || !condition(request)) continue;
      request.answered = true;
      answered.push_back(request);
    }
    return answered;
  }
  std::optional<uint32_t> claim(const PendingRequest& request);
  void release(uint32_t index);
  const Slot* find(uint32_t slot) const;

  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  std::unordered_map<uint64_t, uint32_t> by_unique_;
  bool closed_ = false;
};

}  // namespace sluice

#include "addon_checksums.h"

#include "addon_arguments.h"
#include "checksums.h"

namespace sluice {
namespace {

// Arguments 0 to 2: the bytes [start, end) of an array.
std::span<const uint8_t> part_of(const Napi::CallbackInfo& info) {
  const auto bytes = elements<uint8_t>(info, 0);
  const int64_t end = integer(info, 2, 0, static_cast<int64_t>(bytes.size()));
  const int64_t start = integer(info, 1, 0, end);
  return bytes.subspan(static_cast<size_t>(start), static_cast<size_t>(end - start));
}

}  // namespace

Napi::Value crc32c_of(const Napi::CallbackInfo& info) {
  const auto part = part_of(info);
  const auto seed = static_cast<uint32_t>(integer(info, 3, 0, kUint32Max));
  return Napi::Number::New(info.Env(), crc32c(part.data(), part.size(), seed));
}

void crc64nvme_of(const Napi::CallbackInfo& info) {
  const auto part = part_of(info);
  const auto state = elements<uint64_t>(info, 3);
  if (state.empty()) throw Napi::RangeError::New(info.Env(), "argument 3 is empty");
  state[0] = crc64nvme(part.data(), part.size(), state[0]);
}

}  // namespace sluice

// Arguments from JavaScript, checked: whatever is wrong throws TypeError or RangeError before anything happens.
#pragma once

#include <napi.h>

#include <cstring>
#include <span>
#include <string>

// libuv's, which Node.js is linked with: "ENOSPC" of -ENOSPC, as the errors of node:fs have it.
extern "C" const char* uv_err_name(int error);

namespace sluice {

inline constexpr int64_t kSafeMax = (1ll << 53) - 1;
inline constexpr int64_t kInt32Max = INT32_MAX;
inline constexpr int64_t kUint32Max = UINT32_MAX;
inline constexpr int64_t kErrnoMax = 511;

inline Napi::Error errno_error(Napi::Env env, const char* call, int error) {
  auto value = Napi::Error::New(env, std::string(call) + ": " + std::strerror(error));
  value.Set("errno", Napi::Number::New(env, -error));
  value.Set("code", Napi::String::New(env, uv_err_name(-error)));
  value.Set("syscall", Napi::String::New(env, call));
  return value;
}

inline int64_t integer(const Napi::CallbackInfo& info, size_t at, int64_t min, int64_t max) {
  const Napi::Value value = info[at];
  if (!value.IsNumber()) throw Napi::TypeError::New(info.Env(), "argument " + std::to_string(at) + " must be a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  // Written so that NaN fails, too.
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)) || number != static_cast<int64_t>(number))
    throw Napi::RangeError::New(info.Env(), "argument " + std::to_string(at) + " is out of range");
  return static_cast<int64_t>(number);
}

// The typed arrays that are taken, by their elements.
template <typename Element>
struct TypedArray;
template <>
struct TypedArray<uint8_t> {
  static constexpr napi_typedarray_type kType = napi_uint8_array;
  static constexpr const char* kName = "Uint8Array";
};
template <>
struct TypedArray<int32_t> {
  static constexpr napi_typedarray_type kType = napi_int32_array;
  static constexpr const char* kName = "Int32Array";
};
template <>
struct TypedArray<uint64_t> {
  static constexpr napi_typedarray_type kType = napi_biguint64_array;
  static constexpr const char* kName = "BigUint64Array";
};

// The memory of a typed array, shared or not: JavaScript's, as long as it keeps the array.
template <typename Element>
std::span<Element> elements(const Napi::CallbackInfo& info, size_t at) {
  napi_typedarray_type type{};
  size_t length = 0;
  void* data = nullptr;
  if (!info[at].IsTypedArray() ||
      napi_get_typedarray_info(info.Env(), info[at], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != TypedArray<Element>::kType)
    throw Napi::TypeError::New(info.Env(),
                               "argument " + std::to_string(at) + " must be of type " + TypedArray<Element>::kName);
  return {static_cast<Element*>(data), length};
}

inline std::string text(const Napi::CallbackInfo& info, size_t at) {
  if (!info[at].IsString()) throw Napi::TypeError::New(info.Env(), "argument " + std::to_string(at) + " must be a string");
  return info[at].As<Napi::String>().Utf8Value();
}

}  // namespace sluice

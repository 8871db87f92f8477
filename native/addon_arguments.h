// Arguments from JavaScript, checked: whatever is wrong throws TypeError or RangeError before anything happens.
#pragma once

#include <napi.h>

#include <cstring>
#include <string>

namespace sluice {

inline constexpr int64_t kSafeMax = (1ll << 53) - 1;
inline constexpr int64_t kInt32Max = INT32_MAX;
inline constexpr int64_t kUint32Max = UINT32_MAX;
inline constexpr int64_t kErrnoMax = 511;

inline Napi::Error errno_error(Napi::Env env, const char* call, int error) {
  auto value = Napi::Error::New(env, std::string(call) + ": " + std::strerror(error));
  value.Set("errno", Napi::Number::New(env, -error));
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

inline std::string text(const Napi::CallbackInfo& info, size_t at) {
  if (!info[at].IsString()) throw Napi::TypeError::New(info.Env(), "argument " + std::to_string(at) + " must be a string");
  return info[at].As<Napi::String>().Utf8Value();
}

}  // namespace sluice

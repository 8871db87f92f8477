// The class NativeSession of src/native.ts: a session that tells its events to one function of its environment.
#pragma once

#include <napi.h>

namespace sluice {

Napi::Function define_native_session(Napi::Env env);
Napi::Value start_session(const Napi::CallbackInfo& info);

}  // namespace sluice

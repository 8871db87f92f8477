// Locks, shared memory and ranges of files, as src/native.ts names them. From any thread.
#pragma once

#include <napi.h>

namespace sluice {

Napi::Value lock_file_of(const Napi::CallbackInfo& info);
Napi::Value map_file(const Napi::CallbackInfo& info);
void unmap_file(const Napi::CallbackInfo& info);
void punch_hole_in(const Napi::CallbackInfo& info);
Napi::Value checksum_range_of(const Napi::CallbackInfo& info);

}  // namespace sluice

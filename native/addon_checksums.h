// Checksums, as src/native.ts names them. From any thread.
#pragma once

#include <napi.h>

namespace sluice {

Napi::Value crc32c_of(const Napi::CallbackInfo& info);
void crc64nvme_of(const Napi::CallbackInfo& info);

}  // namespace sluice

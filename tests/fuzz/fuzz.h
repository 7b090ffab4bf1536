// A fuzzed door of the library: gets any bytes, and must not crash, hang or take memory without bound. Linked with
// libFuzzer, or with driver.cc, which needs no particular compiler.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

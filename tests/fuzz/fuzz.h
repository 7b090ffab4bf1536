// A fuzzed door of the library: gets any bytes, and must not crash, hang or take memory without bound. Linked with
// libFuzzer, or with driver.cc, which needs no particular compiler.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// A fuzzer may have its own way to change an input, in place; it returns the new size. What it calls to have bytes
// changed is libFuzzer's, or the driver's.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed);
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

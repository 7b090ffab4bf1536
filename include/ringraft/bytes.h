// Bytes, an owned byte string with inline room for small results; and Command, a view of a command's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

// Move-only bytes, up to 4 GiB. Up to kInline bytes need no heap; a reused object keeps its heap buffer. One thread at
// a time; moving never throws.
class Bytes {
 public:
  static constexpr size_t kInline = 48;

  Bytes() noexcept = default;
  explicit Bytes(std::string_view bytes) { Assign(bytes); }
  Bytes(Bytes&& other) noexcept { Take(other); }
  Bytes& operator=(Bytes&& other) noexcept {
    if (this != &other) {
      delete[] heap_;
      Take(other);
    }
    return *this;
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() { delete[] heap_; }

  void Assign(std::string_view bytes);

  const char* data() const { return heap_ != nullptr ? heap_ : inline_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return std::string_view(data(), size_); }
  std::string ToString() const { return std::string(view()); }

 private:
  void Take(Bytes& other) noexcept {
    heap_ = std::exchange(other.heap_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    if (heap_ == nullptr) std::memcpy(inline_, other.inline_, size_);
  }

  char* heap_ = nullptr;  // null: the bytes are in inline_
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;  // of heap_
  char inline_[kInline];
};

// A view of one command. It refers to the caller's bytes until the call it is passed to is awaited: `co_await
// raft.Handle(command)` copies them before the caller is suspended, and only then may they be changed or freed.
class Command {
 public:
  Command() noexcept {}  // NOLINT: user-written, see CONTRIBUTING.md on g++ 12
  Command(const char* text) : bytes_(text) {}                    // NOLINT(google-explicit-constructor)
  Command(std::string_view bytes) : bytes_(bytes) {}             // NOLINT(google-explicit-constructor)
  Command(const std::string& bytes) : bytes_(bytes) {}           // NOLINT(google-explicit-constructor)
  Command(const Bytes& bytes) : bytes_(bytes.view()) {}          // NOLINT(google-explicit-constructor)
  Command(std::span<const std::byte> bytes)                      // NOLINT(google-explicit-constructor)
      : bytes_(reinterpret_cast<const char*>(bytes.data()), bytes.size()) {}

  std::string_view view() const { return bytes_; }
  size_t size() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

}  // namespace ringraft

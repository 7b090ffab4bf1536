// A buffer for I/O. With -DRINGRAFT_GUARD_PAGES each has pages of its own that are unmapped when it is freed, so that a
// late write by the kernel, which no sanitizer sees, fails with EFAULT instead of corrupting other memory.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

namespace ringraft::reactor {

class IoBuffer {
 public:
  IoBuffer() noexcept = default;
  explicit IoBuffer(size_t size);
  IoBuffer(IoBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  IoBuffer& operator=(IoBuffer other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~IoBuffer();

  char* data() const { return data_; }
  size_t size() const { return size_; }
  std::span<char> span() const { return std::span<char>(data_, size_); }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ringraft::reactor

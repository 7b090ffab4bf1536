// Bytes and Command.
#include "ringraft/bytes.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>

namespace ringraft {
namespace {

TEST_CASE("bytes of every size around the inline capacity are kept") {
  for (size_t size : {size_t{0}, size_t{1}, Bytes::kInline - 1, Bytes::kInline, Bytes::kInline + 1, size_t{100'000}}) {
    std::string text(size, 'q');
    Bytes bytes(text);
    CHECK(bytes.size() == size);
    CHECK(bytes.empty() == (size == 0));
    CHECK(bytes.ToString() == text);
    CHECK(bytes.view() == text);
  }
}

TEST_CASE("a reused object keeps its heap buffer") {
  Bytes bytes(std::string(1000, 'a'));
  const char* buffer = bytes.data();
  bytes.Assign("small");
  CHECK(bytes.view() == "small");
  bytes.Assign(std::string(1000, 'b'));
  CHECK(bytes.data() == buffer);
  CHECK(bytes.ToString() == std::string(1000, 'b'));
  bytes.Assign(std::string(1001, 'c'));
  CHECK(bytes.ToString() == std::string(1001, 'c'));
}

TEST_CASE("moving transfers small and large bytes and leaves the source empty") {
  for (size_t size : {size_t{0}, size_t{10}, size_t{1000}}) {
    for (size_t target_size : {size_t{0}, size_t{5}, size_t{2000}}) {
      Bytes from(std::string(size, 'f')), to(std::string(target_size, 't'));
      to = std::move(from);
      CHECK(to.ToString() == std::string(size, 'f'));
      CHECK(from.empty());  // NOLINT(bugprone-use-after-move)
      from.Assign("again");
      CHECK(from.view() == "again");
      Bytes third(std::move(to));
      CHECK(third.ToString() == std::string(size, 'f'));
    }
  }
}

TEST_CASE("moving onto itself changes nothing") {
  Bytes bytes(std::string(100, 'x'));
  Bytes& same = bytes;
  bytes = std::move(same);
  CHECK(bytes.ToString() == std::string(100, 'x'));
}

TEST_CASE("a command views the bytes that it is constructed from") {
  std::string text = "text";
  std::array<std::byte, 2> raw = {std::byte{'h'}, std::byte{'i'}};
  Bytes bytes("bytes");
  CHECK(Command().size() == 0);
  CHECK(Command("literal").view() == "literal");
  CHECK(Command(text).view().data() == text.data());
  CHECK(Command(std::string_view("a\0b", 3)).size() == 3);
  CHECK(Command(std::span<const std::byte>(raw)).view() == "hi");
  CHECK(Command(bytes).view() == "bytes");
}

}  // namespace
}  // namespace ringraft

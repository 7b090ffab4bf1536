// Keys that sort, and values that detect changes.
#include "storage/stored_format.h"

#include "support.h"

namespace ringraft::storage {
namespace {

TEST_CASE("keys sort by group and then by index") {
  std::string before;
  for (uint64_t group : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, UINT64_MAX}) {
    for (uint64_t index : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, uint64_t{1} << 40, UINT64_MAX}) {
      std::string key(IndexKey(GroupId(group), Index(index)).view());
      CHECK(key.size() == 16);
      CHECK(before < key);
      before = key;
      Index parsed;
      REQUIRE(ParseIndexKey(key, GroupId(group), parsed));
      CHECK(parsed == Index(index));
      CHECK(!ParseIndexKey(key, GroupId(group ^ 1), parsed));
    }
  }
  Index parsed;
  CHECK(!ParseIndexKey("short", GroupId(1), parsed));
  CHECK(!ParseIndexKey("", GroupId(1), parsed));
}

TEST_CASE("a sealed value opens only under its own key, and every flipped bit is found") {
  for (const std::string& value : {std::string(), std::string("v"), std::string(1000, 'x')}) {
    std::string sealed = Seal("key", value);
    CHECK(Unseal("key", sealed, "it").value() == value);
    CHECK(Fails(Unseal("kez", sealed, "the thing"), Errc::kCorrupt, {"the thing"}));
    for (size_t bit = 0; bit < sealed.size() * 8; ++bit) {
      std::string flipped = sealed;
      flipped[bit / 8] ^= static_cast<char>(1 << bit % 8);
      REQUIRE(!Unseal("key", flipped, "it"));
    }
    for (size_t size = 0; size < sealed.size(); ++size)
      REQUIRE(!Unseal("key", std::string_view(sealed).substr(0, size), "it"));
  }
}

TEST_CASE("a hard state is 16 bytes, and its absence means a new node") {
  HardState state{Term(UINT64_MAX), NodeId(3)};
  CHECK(DecodeHardState(EncodeHardState(state)).value() == state);
  CHECK(DecodeHardState("").value() == HardState{});
  CHECK(Fails(DecodeHardState("123"), Errc::kCorrupt, {"3 bytes"}));
  CHECK(DecodeUint64(EncodeUint64(0x0102030405060708), "it").value() == 0x0102030405060708);
  CHECK(EncodeUint64(1) == std::string("\x01\0\0\0\0\0\0\0", 8));
}

}  // namespace
}  // namespace ringraft::storage

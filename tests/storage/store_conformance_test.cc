// Every guarantee of store.h, for the Store facet of every storage.
#include "support.h"

namespace ringraft::storage {
namespace {

STORAGE_CASE("a missing value is empty, a missing number 0") {
  Kind kind;
  auto storage = kind.Open();
  CHECK(storage->Store().Get("nothing").value() == "");
  CHECK(storage->Store().GetUint64("nothing").value() == 0);
}

STORAGE_CASE("Get returns the value that was set last") {
  Kind kind;
  auto storage = kind.Open();
  Store& store = storage->Store();
  std::string binary(
      "\0\xff"
      "a",
      3);
  REQUIRE(store.Set("key", "first"));
  REQUIRE(store.Set("key", binary));
  REQUIRE(store.Set("kez", "another"));
  CHECK(store.Get("key").value() == binary);
  CHECK(store.Get("kez").value() == "another");
  CHECK(store.Get("ke").value() == "");
  REQUIRE(store.Set("key", ""));
  CHECK(store.Get("key").value() == "");
  std::string large(100'000, 'x');
  REQUIRE(store.Set("key", large));
  CHECK(store.Get("key").value() == large);
}

STORAGE_CASE("numbers of any size are kept") {
  Kind kind;
  auto storage = kind.Open();
  Store& store = storage->Store();
  for (uint64_t number : {uint64_t{0}, uint64_t{1}, uint64_t{255}, uint64_t{256}, UINT64_MAX}) {
    REQUIRE(store.SetUint64("number", number));
    CHECK(store.GetUint64("number").value() == number);
  }
  REQUIRE(store.Set("text", "abc"));
  CHECK(Fails(store.GetUint64("text"), Errc::kCorrupt, {"text", "8"}));
}

STORAGE_CASE("keys have from 1 to 255 bytes") {
  Kind kind;
  auto storage = kind.Open();
  Store& store = storage->Store();
  std::string longest(255, 'k'), binary("\0\xff", 2);
  REQUIRE(store.Set(longest, "v"));
  CHECK(store.Get(longest).value() == "v");
  REQUIRE(store.Set(binary, "w"));
  CHECK(store.Get(binary).value() == "w");
  for (const std::string& key : {std::string(), std::string(256, 'k')}) {
    CHECK(Fails(store.Set(key, "v"), Errc::kInvalidArgument, {"255"}));
    CHECK(Fails(store.SetUint64(key, 1), Errc::kInvalidArgument));
    CHECK(Fails(store.Get(key), Errc::kInvalidArgument));
    CHECK(Fails(store.GetUint64(key), Errc::kInvalidArgument));
  }
  CHECK(store.Get(longest).value() == "v");
}

STORAGE_CASE("values and the hard state do not affect each other") {
  Kind kind;
  auto storage = kind.Open();
  REQUIRE(storage->Commit(HardState{Term(4), NodeId(2)}, std::nullopt, {}));
  REQUIRE(storage->Store().Set("ringraft/cluster", "c"));
  REQUIRE(storage->Store().SetUint64("term", 9));
  CHECK(Text(*storage) == "term 4 vote 2 | terms | configurations | ");
  REQUIRE(storage->Commit(HardState{Term(5), NodeId(1)}, std::nullopt, {}));
  CHECK(storage->Store().Get("ringraft/cluster").value() == "c");
  CHECK(storage->Store().GetUint64("term").value() == 9);
}

STORAGE_CASE("values survive") {
  if (!Kind::kSurvives) return;
  Kind kind;
  {
    auto storage = kind.Open();
    REQUIRE(storage->Store().Set("key", "value"));
    REQUIRE(storage->Store().SetUint64("number", 7));
  }
  auto storage = kind.Open();
  CHECK(storage->Store().Get("key").value() == "value");
  CHECK(storage->Store().GetUint64("number").value() == 7);
}

}  // namespace
}  // namespace ringraft::storage

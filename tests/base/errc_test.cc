// Errors as std::error_code and as results.
#include "ringraft/errc.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace ringraft {
namespace {

TEST_CASE("each code has a distinct message") {
  std::set<std::string> messages;
  for (int value = 0; value <= static_cast<int>(Errc::kTransferFailed); ++value) {
    std::string message = ErrorCategory().message(value);
    CHECK(message.find("unknown ringraft error") == std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
    CHECK(messages.insert(message).second);
  }
  CHECK(ErrorCategory().message(9999) == "unknown ringraft error 9999");
}

TEST_CASE("a code is a std::error_code of the ringraft category") {
  std::error_code code = Errc::kBusy;
  CHECK(code == Errc::kBusy);
  CHECK(code.category() == ErrorCategory());
  CHECK(std::string(code.category().name()) == "ringraft");
  CHECK(code);
  CHECK(!std::error_code(Errc::kOk));
}

TEST_CASE("an error has its own message, or the category's") {
  CHECK(Error(Errc::kFull).message() == ErrorCategory().message(static_cast<int>(Errc::kFull)));
  Error error(Errc::kFull, "the disk of /data is full; free some");
  CHECK(error.message() == "the disk of /data is full; free some");
  CHECK(error.code() == Errc::kFull);
  CHECK(error == Errc::kFull);
  CHECK(!(error == Errc::kIo));
  CHECK(!error.leader());
  Error copy = error;
  CHECK(copy.message() == error.message());
}

TEST_CASE("a kNotLeader error names the leader if it is known") {
  Error known = Error::NotLeader(Peer(NodeId(2), Addr("10.0.0.2:7101")));
  CHECK(known == Errc::kNotLeader);
  REQUIRE(known.leader());
  CHECK(known.leader()->id == NodeId(2));
  CHECK(known.leader()->addr.text() == "10.0.0.2:7101");
  CHECK(known.message().find("node 2 at 10.0.0.2:7101") != std::string::npos);
  Error unknown = Error::NotLeader(std::nullopt);
  CHECK(unknown == Errc::kNotLeader);
  CHECK(!unknown.leader());
  CHECK(!unknown.message().empty());
}

Result<int> Half(int n) {
  if (n % 2 != 0) return Error(Errc::kInvalidArgument, "odd");
  return n / 2;
}

Result<void> Nothing(bool fails) {
  if (fails) return Errc::kStopped;
  return Success();
}

TEST_CASE("a result has a value or an error") {
  CHECK(Half(4).value() == 2);
  CHECK(!Half(3));
  CHECK(Half(3).error() == Errc::kInvalidArgument);
  CHECK(Half(3).error().message() == "odd");
  CHECK(Nothing(false));
  CHECK(Nothing(true).error() == Errc::kStopped);
}

TEST_CASE("value() of a failed result throws the code and the message") {
  bool thrown = false;
  try {
    (void)Half(3).value();
  } catch (const std::system_error& error) {
    thrown = true;
    CHECK(error.code() == Errc::kInvalidArgument);
    CHECK(std::string(error.what()).find("odd") != std::string::npos);
  }
  CHECK(thrown);
}

}  // namespace
}  // namespace ringraft

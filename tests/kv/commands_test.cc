// The command table, the encoding of commands in the log, and the texts of errors.
#include "kv/commands.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace ringraft::kv {
namespace {

using Args = std::vector<std::string_view>;

TEST_SUITE("kv: commands") {
  TEST_CASE("a command is found in any case of letters, and nothing else is") {
    for (const CommandSpec& spec : CommandTable()) CHECK(FindCommand(spec.name) == &spec);
    CHECK(FindCommand("GeT") == FindCommand("get"));
    for (const char* name : {"", "ge", "gett", "zzz", "a", "a-very-long-name-of-no-command"})
      CHECK(FindCommand(name) == nullptr);
  }

  TEST_CASE("an encoded command comes back as it was") {
    const std::string large(300000, 'x');
    const std::string zero(3, '\0');
    const Args cases[] = {{"GET", "k"},
                          {"", ""},
                          {"SET", zero, large},
                          Args(1000, "w"),
                          {std::string_view(large).substr(0, 127), std::string_view(large).substr(0, 128)}};
    for (const Args& args : cases) {
      for (const Protocol protocol : {Protocol::kResp2, Protocol::kResp3}) {
        std::string bytes;
        EncodeCommand(protocol, args, bytes);
        CHECK(bytes.size() == EncodedSize(args));
        DecodedCommand decoded;
        REQUIRE(DecodeCommand(bytes, decoded));
        CHECK(decoded.protocol == protocol);
        CHECK(decoded.args == args);
      }
    }
  }

  TEST_CASE("bytes that are no command are refused") {
    std::string bytes;
    EncodeCommand(Protocol::kResp2, Args{"GET", "key"}, bytes);
    DecodedCommand decoded;
    for (size_t size = 0; size < bytes.size(); ++size) {
      const std::string cut = bytes.substr(0, size);
      CHECK_FALSE(DecodeCommand(cut, decoded));
    }
    CHECK_FALSE(DecodeCommand(bytes + "x", decoded));
    CHECK_FALSE(DecodeCommand(std::string("\2\0", 2), decoded));
    CHECK_FALSE(DecodeCommand("\4\1\1a", decoded));
    CHECK_FALSE(DecodeCommand("\2\xff\xff\xff\xff\xff\xff\xff", decoded));
  }

  TEST_CASE("the texts of errors are Redis's") {
    CHECK(UnknownCommandText(Args{"foo"}) == "ERR unknown command 'foo', with args beginning with: ");
    CHECK(UnknownCommandText(Args{"foo", "a", "b"}) == "ERR unknown command 'foo', with args beginning with: 'a' 'b' ");
    CHECK(WrongArityText("get") == "ERR wrong number of arguments for 'get' command");
    CHECK(UnknownSubcommandText("client", "foo") == "ERR unknown subcommand 'foo'. Try CLIENT HELP.");
    const std::string large(1000, 'x');
    const std::string text = UnknownCommandText(Args{large, large, large});
    CHECK(text == "ERR unknown command '" + large.substr(0, 128) + "', with args beginning with: '" +
                      large.substr(0, 128) + "' ");
  }

  TEST_CASE("only canonical decimal numbers are integers") {
    CHECK(ParseInteger("0") == 0);
    CHECK(ParseInteger("-1") == -1);
    CHECK(ParseInteger("9223372036854775807") == INT64_MAX);
    CHECK(ParseInteger("-9223372036854775808") == INT64_MIN);
    for (const char* text :
         {"", "-", "+1", " 1", "1 ", "01", "-0", "-01", "00", "1.0", "0x1", "9223372036854775808", "abc", "1e3"}) {
      CAPTURE(text);
      CHECK_FALSE(ParseInteger(text).has_value());
    }
  }
}

}  // namespace
}  // namespace ringraft::kv

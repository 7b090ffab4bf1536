// Histories as text and as drawings.
#include "checker/history.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "checker/models.h"
#include "history_text.h"

namespace ringraft::checker {

using sim::Timeline;
namespace {

std::string Problem(const std::string& text) {
  std::istringstream in(text);
  const auto history = ReadHistory(in);
  return history.has_value() ? "none" : history.error().message();
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_SUITE("sim: histories") {
  TEST_CASE("a history that is written reads back the same") {
    std::vector<Operation> history =
        ParseHistory("1 0-10 write x 1 -> ok\n 18446744073709551615 20-? read x\n 3 7-7 read x -> \n");
    history[0].invoked = -5;
    history[2].command = std::string("\0\xff", 2);
    history[2].result = "";
    std::ostringstream out;
    WriteHistory(history, out);
    CHECK(out.str() ==
          "1 -5 10 777269746520782031 6f6b\n"
          "18446744073709551615 20 - 726561642078 -\n"
          "3 7 7 00ff .\n");
    std::istringstream in("# recorded by hand\n\n" + out.str());
    const auto read = ReadHistory(in);
    REQUIRE(read.has_value());
    REQUIRE(read.value().size() == history.size());
    for (size_t i = 0; i < history.size(); ++i) {
      CHECK(read.value()[i].client == history[i].client);
      CHECK(read.value()[i].invoked == history[i].invoked);
      CHECK(read.value()[i].returned == history[i].returned);
      CHECK(read.value()[i].command == history[i].command);
      CHECK(read.value()[i].result == history[i].result);
    }
  }

  TEST_CASE("an error names the line, the wrong value, and what is expected") {
    CHECK(Problem("1 2 3 aa bb\n") == "none");
    CHECK(Problem("1\t2 3 AA bb\r\n") == "none");
    CHECK(Problem("1 2 3 aa bb\n1 2 3 aa\n") ==
          "line 2: 4 words; expected 5: client, invoked, returned or -, command, answer or -");
    CHECK(Problem("-1 2 3 aa bb\n") == "line 1: invalid client '-1': expected a non-negative integer");
    CHECK(Problem("1 x 3 aa bb\n") == "line 1: invalid time of invocation 'x': expected nanoseconds");
    CHECK(Problem("1 2 3.5 aa bb\n") ==
          "line 1: invalid time of return '3.5': expected nanoseconds, or - if the outcome is unknown");
    CHECK(Problem("1 2 9223372036854775807 aa bb\n").starts_with("line 1: invalid time of return"));
    CHECK(Problem("1 2 3 aaa bb\n") ==
          "line 1: invalid command 'aaa': expected an even number of hexadecimal digits, or . if it is empty");
    CHECK(Problem("1 2 3 aa gg\n") ==
          "line 1: invalid answer 'gg': expected an even number of hexadecimal digits, or . if it is empty");
    const char* half = "line 1: only one of the time of return and the answer is -: expected both or neither";
    CHECK(Problem("1 2 - aa bb\n") == half);
    CHECK(Problem("1 2 3 aa -\n") == half);
    CHECK(Problem("1 5 3 aa bb\n") ==
          "line 1: the time of return 3 is before the time of invocation 5: expected times of one clock");
  }

  TEST_CASE("a timeline has a lane for each client and a bar with a tooltip for each operation") {
    const auto model = MakeModel(Workload::kRegisters);
    const std::vector<Operation> history =
        ParseHistory("1 0-1000000 write x 1 -> ok\n 1 2000000-3000000 read x -> =1\n 2 500000-? write x 2\n");
    const std::string page = Timeline(*model, history, "a title");
    CHECK(page.starts_with("<!DOCTYPE html>"));
    CHECK(Count(page, "<svg") == 1);
    CHECK(Count(page, "class=\"lane\"") == 2);
    CHECK(Count(page, "class=\"operation\"") == 3);
    CHECK(Count(page, "<rect") == 3);
    CHECK(page.find("<title>client 1: write x 1 -&gt; ok\n0.000 ms to 1.000 ms</title>") != std::string::npos);
    CHECK(page.find("<title>client 2: write x 2 -&gt; ?\n0.500 ms outcome unknown</title>") != std::string::npos);
    CHECK(Count(page, "fill=\"url(#f0)\"") == 1);
    CHECK(page.find("<h1>a title</h1>") != std::string::npos);
    CHECK(page.find("3 operations") != std::string::npos);
    CHECK(Count(page, "</html>") == 1);
  }

  TEST_CASE("a timeline loads nothing, runs nothing, and escapes its inputs") {
    const auto model = MakeModel(Workload::kRegisters);
    std::vector<Operation> history = ParseHistory("1 0-100 write <script>alert(1)</script> \"'& -> ok\n");
    history[0].result = std::string("</title>\0\n<b>", 13);
    const std::string page = Timeline(*model, history, "<i>\"x\" & 'y'");
    CHECK(page.find("<script") == std::string::npos);
    CHECK(page.find("<b>") == std::string::npos);
    CHECK(page.find("<i>") == std::string::npos);
    CHECK(page.find("&lt;i&gt;&quot;x&quot; &amp; &#39;y&#39;") != std::string::npos);
    CHECK(page.find("&lt;script&gt;alert(1)&lt;/script&gt; &quot;&#39;&amp;") != std::string::npos);
    CHECK(page.find('\0') == std::string::npos);
    for (const char* loader : {"src=", "href=", "@import", "url(http", "<link"}) CHECK(Count(page, loader) == 0);
    CHECK(Count(page, "http") == 1);  // the name of the SVG namespace
  }

  TEST_CASE("the timelines of no operations and of a single moment are valid pages") {
    const auto model = MakeModel(Workload::kRegisters);
    CHECK(Timeline(*model, {}, "nothing").find("0 operations") != std::string::npos);
    const std::string page = Timeline(*model, ParseHistory("1 5-5 read x -> nil\n 1 5-? read x\n"), "a moment");
    CHECK(Count(page, "<rect") == 2);
    CHECK(page.find("nan") == std::string::npos);
    CHECK(page.find("inf") == std::string::npos);
  }
}

}  // namespace
}  // namespace ringraft::checker

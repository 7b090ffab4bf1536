// Draws a history over time: a lane for each client, and a bar for each operation from its invocation to its return.
// The page is self-contained: no scripts, fonts or images.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "checker/text_format.h"
#include "ringraft/sim.h"

namespace ringraft::sim {
namespace {

using checker::Milliseconds;
using checker::Printable;

constexpr int kLeft = 90;    // for the names of the lanes
constexpr int kRight = 150;  // for operations that fade out
constexpr int kTop = 30;
constexpr int kBarHeight = 18;
constexpr int kRowHeight = 22;
constexpr int kLaneGap = 8;
constexpr int kPlotWidth = 1200;
constexpr int kMaxPlotWidth = 24'000;
constexpr int kWidthOfOperation = 110;  // about enough for its text
constexpr int kWidthOfLetter = 7;
constexpr int kTicks = 10;
constexpr size_t kColors = 6;

// For HTML text and attributes.
std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      case '\n':
        escaped.push_back(c);
        break;
      default:
        escaped += Printable(std::string_view(&c, 1));
    }
  }
  return escaped;
}

constexpr const char* kStyle =
    "body{font:14px system-ui,sans-serif;margin:16px;color:#222;background:#fff}"
    "svg text{font:11px ui-monospace,monospace}"
    ".lane{fill:#555}.tick{stroke:#ddd}.time{fill:#777}"
    ".bar{stroke:#333;stroke-width:.5}.unknown{stroke:none}"
    ".c0{fill:#9ecae1}.c1{fill:#fdd0a2}.c2{fill:#c7e9c0}.c3{fill:#dadaeb}.c4{fill:#fcbba1}.c5{fill:#d9d9d9}"
    "g.operation:hover rect{stroke:#000;stroke-width:2}";

struct Bar {
  const Operation* operation = nullptr;
  double begin = 0;
  double end = 0;  // including the part that fades out
  int row = 0;     // of its lane
};

struct Lane {
  std::vector<Bar> bars;
  int rows = 1;
};

class Drawing {
 public:
  Drawing(const Model& model, const std::vector<Operation>& history) : model_(model) {
    if (history.empty()) return;
    first_ = history.front().invoked;
    last_ = first_;
    std::map<uint64_t, size_t> operations;
    size_t busiest = 0;
    for (const Operation& operation : history) {
      first_ = std::min(first_, operation.invoked);
      last_ = std::max(last_, operation.returned == Operation::kNever ? operation.invoked : operation.returned);
      busiest = std::max(busiest, ++operations[operation.client]);
    }
    plot_width_ = static_cast<int>(std::clamp<size_t>(busiest * kWidthOfOperation, kPlotWidth, kMaxPlotWidth));
    for (const Operation& operation : history) lanes_[operation.client].bars.push_back(MakeBar(operation));
    for (auto& [client, lane] : lanes_) Arrange(lane);
  }

  void Write(std::string& out) const {
    int height = kTop;
    for (const auto& [client, lane] : lanes_) height += lane.rows * kRowHeight + kLaneGap;
    const int width = kLeft + plot_width_ + kRight;
    out += fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" role=\"img\">\n"
        "<defs>\n",
        width, height);
    for (size_t color = 0; color < kColors; ++color) {
      out += fmt::format(
          "<linearGradient id=\"f{0}\"><stop offset=\"0\" class=\"c{0}\" stop-color=\"{1}\"/>"
          "<stop offset=\"1\" stop-color=\"{1}\" stop-opacity=\"0\"/></linearGradient>\n",
          color, kFadingColors[color]);
    }
    out += "</defs>\n";
    WriteTicks(height, out);
    int top = kTop;
    for (const auto& [client, lane] : lanes_) {
      out += fmt::format("<text class=\"lane\" x=\"4\" y=\"{}\">client {}</text>\n", top + 13, client);
      for (const Bar& bar : lane.bars) WriteBar(bar, top, out);
      top += lane.rows * kRowHeight + kLaneGap;
    }
    out += "</svg>\n";
  }

 private:
  static constexpr const char* kFadingColors[kColors] = {"#9ecae1", "#fdd0a2", "#c7e9c0",
                                                         "#dadaeb", "#fcbba1", "#d9d9d9"};

  double X(int64_t time) const {
    const double span = std::max(1.0, static_cast<double>(last_) - static_cast<double>(first_));
    return kLeft + (static_cast<double>(time) - static_cast<double>(first_)) / span * plot_width_;
  }

  Bar MakeBar(const Operation& operation) const {
    Bar bar;
    bar.operation = &operation;
    bar.begin = X(operation.invoked);
    const bool is_unknown = operation.returned == Operation::kNever;
    bar.end = is_unknown ? bar.begin + kRight : std::max(X(operation.returned), bar.begin + 3);
    return bar;
  }

  // Puts overlapping bars of one client into separate rows.
  static void Arrange(Lane& lane) {
    std::stable_sort(lane.bars.begin(), lane.bars.end(), [](const Bar& a, const Bar& b) { return a.begin < b.begin; });
    std::vector<double> ends;
    for (Bar& bar : lane.bars) {
      const auto free = std::find_if(ends.begin(), ends.end(), [&](double end) { return end <= bar.begin; });
      bar.row = static_cast<int>(free - ends.begin());
      if (free == ends.end()) ends.push_back(0);
      ends[static_cast<size_t>(bar.row)] = bar.end;
    }
    lane.rows = static_cast<int>(ends.size());
  }

  void WriteTicks(int height, std::string& out) const {
    for (int tick = 0; tick <= kTicks; ++tick) {
      const int64_t time = first_ + (last_ - first_) / kTicks * tick;
      out += fmt::format(
          "<line class=\"tick\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"18\" y2=\"{1}\"/>"
          "<text class=\"time\" x=\"{0:.1f}\" y=\"12\">{2}</text>\n",
          X(time), height, Milliseconds(time));
    }
  }

  void WriteBar(const Bar& bar, int lane_top, std::string& out) const {
    const Operation& operation = *bar.operation;
    const bool is_unknown = operation.returned == Operation::kNever;
    const std::string what = model_.Describe(operation.command, operation.result ? &*operation.result : nullptr);
    const size_t color = Color(model_.Partition(operation.command));
    const double width = bar.end - bar.begin;
    const int top = lane_top + bar.row * kRowHeight;
    const std::string times = is_unknown ? "outcome unknown" : "to " + Milliseconds(operation.returned);
    const std::string fill = is_unknown ? fmt::format("class=\"bar unknown\" fill=\"url(#f{})\"", color)
                                        : fmt::format("class=\"bar c{}\"", color);
    out += fmt::format(
        "<g class=\"operation\"><title>client {}: {}\n{} {}</title>"
        "<rect {} x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"2\"/>",
        operation.client, Escaped(what), Milliseconds(operation.invoked), times, fill, bar.begin, top, width,
        kBarHeight);
    const auto letters = static_cast<size_t>(std::max(0.0, (width - 6) / kWidthOfLetter));
    if (letters >= 3) {
      const std::string text = what.size() <= letters ? what : what.substr(0, letters - 2) + "..";
      out += fmt::format("<text x=\"{:.1f}\" y=\"{}\">{}</text>", bar.begin + 3, top + 13, Escaped(text));
    }
    out += "</g>\n";
  }

  // In the order in which partitions are drawn.
  size_t Color(const std::string& partition) const {
    return colors_.emplace(partition, colors_.size()).first->second % kColors;
  }

  const Model& model_;
  int64_t first_ = 0;
  int64_t last_ = 0;
  int plot_width_ = kPlotWidth;
  std::map<uint64_t, Lane> lanes_;
  mutable std::map<std::string, size_t> colors_;
};

}  // namespace

std::string Timeline(const Model& model, const std::vector<Operation>& history, std::string_view title) {
  const std::string heading = Escaped(title);
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{0}</title>\n<style>{1}</style>\n"
      "</head>\n<body>\n<h1>{0}</h1>\n<p>{2} operations. A bar goes from the call to its return; one that fades out to "
      "the right has an unknown outcome. Each partition has a color.</p>\n",
      heading, kStyle, history.size());
  Drawing(model, history).Write(page);
  page += "</body>\n</html>\n";
  return page;
}

}  // namespace ringraft::sim

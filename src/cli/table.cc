#include "cli/table.h"

#include <algorithm>

namespace ringraft::cli {
namespace {

// In characters: those of several bytes have one that does not continue another.
size_t Width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

Table::Table(std::initializer_list<Column> columns) : lines_(1) {
  for (const Column& column : columns) {
    aligns_.push_back(column.align);
    lines_.front().emplace_back(column.title);
  }
}

std::string Table::Text() const {
  std::vector<size_t> widths;
  for (const auto& line : lines_) {
    widths.resize(std::max(widths.size(), line.size()));
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], Width(line[i]));
  }
  std::string out;
  for (const auto& line : lines_) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string blanks(widths[i] - Width(line[i]), ' ');
      const bool is_right = i < aligns_.size() && aligns_[i] == Align::kRight;
      text += is_right ? blanks + line[i] : line[i] + blanks;
      text += "  ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

}  // namespace ringraft::cli

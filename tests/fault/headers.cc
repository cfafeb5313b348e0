// SPDX-License-Identifier: MIT
#include "fault/headers.h"

#include <string.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

namespace ctxtest {
namespace {

// The name `ctx_...` at this place; empty if there is none.
std::string NameAt(const std::string& text, size_t at) {
  size_t end = at;
  while (end < text.size() && (std::isalnum(text[end]) != 0 || text[end] == '_')) ++end;
  return text.compare(at, 4, "ctx_") == 0 ? text.substr(at, end - at) : "";
}

// Each function's comment, by its name.
using Comments = std::map<std::string, std::string>;

void ReadHeader(const std::string& text, Comments* comments) {
  const std::string mark = "CTX_API ";
  for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos; at += mark.size()) {
    const size_t name = text.rfind("ctx_", text.find('(', at));
    const size_t begin = text.rfind("/**", at);
    if (name == std::string::npos || name < at || begin == std::string::npos) continue;
    (*comments)[NameAt(text, name)] = text.substr(begin, text.rfind("*/", at) - begin);
  }
}

const Comments& AllComments() {
  static const Comments comments = [] {
    Comments read;
    for (const auto& file : std::filesystem::directory_iterator(CTX_TESTS_HEADERS)) {
      std::ifstream in(file.path());
      ReadHeader({std::istreambuf_iterator<char>(in), {}}, &read);
    }
    return read;
  }();
  return comments;
}

bool Names(const std::string& comment, const std::string& error) {
  const size_t at = comment.find(error);
  return at != std::string::npos && std::isalnum(comment[at + error.size()]) == 0;
}

bool MayAnswer(const std::string& function, const std::string& error, int depth) {
  const auto found = AllComments().find(function);
  if (found == AllComments().end()) return false;
  const std::string& comment = found->second;
  if (Names(comment, error)) return true;
  const size_t result = comment.find("@return");
  size_t at = result == std::string::npos ? 0 : result;
  while (depth > 0 && (at = comment.find("ctx_", at)) != std::string::npos) {
    const std::string other = NameAt(comment, at);
    at += other.size();
    if (other != function && MayAnswer(other, error, depth - 1)) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> PublicFunctions() {
  std::vector<std::string> names;
  for (const auto& [name, comment] : AllComments()) names.push_back(name);
  return names;
}

bool MayAnswer(const std::string& function, int error) {
  return MayAnswer(function, std::string(1, '-') + strerrorname_np(error), 3);
}

}  // namespace ctxtest

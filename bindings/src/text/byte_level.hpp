#pragma once

#include <array>
#include <string>
#include <string_view>

namespace vljepa {

/// The characters by which byte-level tokenizers write bytes: those that can be seen as they are, the others from U+0100
/// on, in their order. Each is UTF-8.
const std::array<std::string, 256>& byte_characters();

/// The bytes that such characters stand for. False, and nothing done, where one is not of them.
bool bytes_of(std::string_view text, std::string& out);

/// The text with U+FFFD for what is not UTF-8.
std::string lossy_utf8(const std::string& bytes);

/// Bytes of the character that starts with this one.
std::size_t character_bytes(char lead);

}  // namespace vljepa

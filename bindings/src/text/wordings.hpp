#pragma once

#include <string>
#include <vector>

namespace vljepa {

/// `label` without a leading "a", "an" or "the" and without blanks to spare.
std::string without_article(const std::string& label);
/// The singular of an English noun, with what stands before and after it: "red cars on a road" is "red car on a road".
std::string singular(const std::string& label);
/// The texts that stand for a label, each once: as it is given, alone, and in sentences. `prompt`: the bundle's own sentence
/// for labels, with {label} in it. An "a" before it becomes "an" where it should.
std::vector<std::string> wordings(const std::string& label, const std::string& prompt);

}  // namespace vljepa

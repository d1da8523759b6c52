// How a label is put into words, as vljepa-edge in Python does it: English, and texts in ASCII.

#include "text/wordings.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace vljepa {

namespace {

const std::map<std::string, std::string>& irregular() {
    static const std::map<std::string, std::string> kIrregular{
        {"people", "person"}, {"men", "man"}, {"women", "woman"}, {"children", "child"}, {"feet", "foot"},
        {"teeth", "tooth"}, {"mice", "mouse"}, {"geese", "goose"}, {"oxen", "ox"}, {"lenses", "lens"}, {"gases", "gas"},
        {"potatoes", "potato"}, {"knives", "knife"}, {"wives", "wife"}, {"leaves", "leaf"}, {"loaves", "loaf"},
        {"shelves", "shelf"}, {"calves", "calf"}, {"wolves", "wolf"}, {"scarves", "scarf"}, {"hooves", "hoof"},
        {"halves", "half"}, {"thieves", "thief"}, {"elves", "elf"}, {"skis", "ski"}, {"taxis", "taxi"}, {"kiwis", "kiwi"},
        {"buses", "bus"}, {"tomatoes", "tomato"}, {"heroes", "hero"}, {"policemen", "policeman"},
        {"policewomen", "policewoman"}, {"firemen", "fireman"}, {"cactuses", "cactus"},
    };
    return kIrregular;
}

// Words that end like a plural and are none, or have no singular.
const std::set<std::string>& kept() {
    static const std::set<std::string> kKept{
        "atlas", "binoculars", "canvas", "chaos", "christmas", "clothes", "gas", "glasses", "goggles", "headphones",
        "jeans", "lens", "news", "pajamas", "pants", "pliers", "pyjamas", "rhinoceros", "scissors", "series", "shorts",
        "species", "stairs", "sunglasses", "tights", "tongs", "trousers",
    };
    return kKept;
}

const std::set<std::string>& ends_with_ie() {
    static const std::set<std::string> kWords{
        "brownies", "cookies", "hoodies", "movies", "pies", "selfies", "smoothies", "ties", "zombies",
    };
    return kWords;
}

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

bool ends(const std::string& word, const std::string& end) {
    return word.size() >= end.size() && word.compare(word.size() - end.size(), end.size(), end) == 0;
}

bool ends_with_any(const std::string& word, const std::vector<const char*>& all) {
    return std::any_of(all.begin(), all.end(), [&](const char* end) { return ends(word, end); });
}

std::string singular_noun(const std::string& noun) {
    const std::string word = lower(noun);
    const auto found = irregular().find(word);
    if (found != irregular().end()) return found->second;
    if (kept().count(word) > 0 || !ends(word, "s") || ends_with_any(word, {"ss", "us", "is"}) || word.size() < 4) return noun;
    if (ends(word, "ies") && ends_with_ie().count(word) == 0) return noun.substr(0, noun.size() - 3) + "y";
    const bool has_es = ends_with_any(word, {"sses", "shes", "ches", "xes", "zzes"});
    return noun.substr(0, noun.size() - (has_es ? 2 : 1));
}

// Behind "a" or "an", by its first sound: an hour, a unicorn.
std::string with_article(const std::string& label) {
    static const std::regex kAn(R"((?:(?!uni[cfovt]|us[eu]|utensil|eu|one\b|once|ufo)[aeiou]|hour|heir|honest))", std::regex::icase);
    const bool is_an = std::regex_search(label, kAn, std::regex_constants::match_continuous);
    return (is_an ? "an " : "a ") + label;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
}

}  // namespace

std::string without_article(const std::string& label) {
    std::istringstream in(label);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (words.size() > 1) {
        const std::string first = lower(words.front());
        if (first == "a" || first == "an" || first == "the") words.erase(words.begin());
    }
    std::string found;
    for (const std::string& word : words) found += (found.empty() ? "" : " ") + word;
    return found;
}

std::string singular(const std::string& label) {
    static const std::regex kLinks(R"(\s(?:of|in|on|with|without|and|or|at|by|from|to|under|behind|for|who|that|is|are)\s)",
                                   std::regex::icase);
    std::smatch link;
    const bool has_link = std::regex_search(label, link, kLinks);
    const std::string head = has_link ? link.prefix().str() : label;
    const std::string rest = label.substr(head.size());
    const std::size_t blank = head.rfind(' ');
    const std::size_t noun = blank == std::string::npos ? 0 : blank + 1;
    return head.substr(0, noun) + singular_noun(head.substr(noun)) + rest;
}

std::vector<std::string> wordings(const std::string& label, const std::string& prompt) {
    const std::string bare = without_article(label);
    const std::string one = singular(bare);
    std::string sentence = prompt;
    replace_all(sentence, "a {label}", with_article(one));
    replace_all(sentence, "{label}", one);
    std::vector<std::string> texts;
    for (const std::string& text : {bare, with_article(one), sentence, "a photo of " + with_article(one)}) {
        if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
    }
    return texts;
}

}  // namespace vljepa

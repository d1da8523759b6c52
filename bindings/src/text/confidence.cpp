// How sure a model may be of a text, and what it says instead where it is not sure enough.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>

#include "text/npy.hpp"
#include "text/texts.hpp"
#include "vljepa/error.hpp"
#include "vljepa/vector_math.hpp"

namespace vljepa {

namespace {

constexpr std::size_t kMostSentences = 10'000;

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

std::size_t past_spaces(const std::string& text, std::size_t at) {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
    return at;
}

// Whether a query is "Is there ...?" or "Do you see ...?".
bool is_about_presence(const std::string& query) {
    const std::string text = lower(query);
    for (const auto& words : {std::vector<std::string>{"is", "there"}, {"are", "there"}, {"do", "you", "see"}, {"can", "you", "see"}}) {
        std::size_t at = past_spaces(text, 0);
        bool fits = true;
        for (std::size_t i = 0; fits && i < words.size(); ++i) {
            fits = text.compare(at, words[i].size(), words[i]) == 0;
            at += words[i].size();
            if (!fits || i + 1 == words.size()) continue;
            const std::size_t next = past_spaces(text, at);
            fits = next > at;
            at = next;
        }
        const bool ends = at >= text.size() || (std::isalnum(static_cast<unsigned char>(text[at])) == 0 && text[at] != '_');
        if (fits && ends) return true;
    }
    return false;
}

// Whether a text says yes, or no; nothing for any other.
std::optional<bool> as_yes_or_no(const std::string& text) {
    std::string word = lower(text);
    while (!word.empty() && (word.back() == '.' || word.back() == '!')) word.pop_back();
    if (word == "yes") return true;
    if (word == "no") return false;
    return std::nullopt;
}

float from_half(std::uint16_t half) {
    const int exponent = half >> 10 & 31;
    const int fraction = half & 1023;
    double value = 0.0;
    if (exponent == 0) value = std::ldexp(fraction, -24);
    else if (exponent == 31) value = fraction == 0 ? HUGE_VAL : NAN;
    else value = std::ldexp(1024 + fraction, exponent - 25);
    return static_cast<float>((half & 0x8000) != 0 ? -value : value);
}

// The rows of a .npy that holds float16 [rows, width].
std::vector<float> read_halves(const std::string& file, const std::string& data, std::int64_t rows, std::int64_t width) {
    Npy array;
    try {
        array = parse_npy(data);
    } catch (const std::runtime_error& error) {
        throw BundleError(file, std::string("can't be read: ") + error.what());
    }
    if (array.type != "<f2" || array.shape != Shape{rows, width}) {
        throw BundleError(file, "must hold float16 [" + std::to_string(rows) + ", " + std::to_string(width) + "]");
    }
    std::vector<float> found(element_count(array.shape));
    for (std::size_t i = 0; i < found.size(); ++i) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(array.data.data()) + 2 * i;
        found[i] = from_half(static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8));
    }
    return found;
}

}  // namespace

void Texts::read_general() {
    const GeneralEntry& entry = *manifest_.confidence->general;
    std::string text = bundle_.read(entry.texts);
    std::string line;
    const auto finish = [&] {
        if (past_spaces(line, 0) == line.size()) throw BundleError(entry.texts, "must hold sentences, one a line, no line empty");
        sentences_.push_back(line);
        line.clear();
    };
    for (const char c : text) {
        if (c == '\n') finish();
        else if (c != '\r') line += c;
    }
    if (!line.empty()) finish();
    if (sentences_.empty() || sentences_.size() > kMostSentences) {
        throw BundleError(entry.texts, "must hold 1 to 10000 sentences, one a line");
    }
    const auto width = static_cast<std::size_t>(manifest_.embedding_width);
    general_ = read_halves(entry.embeddings, bundle_.read(entry.embeddings),
                           static_cast<std::int64_t>(sentences_.size()), manifest_.embedding_width);
    for (std::size_t row = 0; row < sentences_.size(); ++row) {
        float* place = general_.data() + row * width;
        try {
            unit("general sentences", place, width, place);
        } catch (const EngineError&) {
            throw BundleError(entry.embeddings, "must be finite numbers, no row all zero");
        }
    }
}

bool Texts::asks_for_caption(const std::string& query) const {
    if (query.empty() || query == manifest_.text.default_query) return true;
    if (!manifest_.confidence) return false;
    const auto& queries = manifest_.confidence->caption_queries;
    return std::find(queries.begin(), queries.end(), query) != queries.end();
}

double Texts::cosine_with(const std::string& text, const std::vector<float>& embedding) const {
    const std::vector<float> other = embed(text);
    return dot(other.data(), embedding.data(), embedding.size());
}

std::optional<double> Texts::of_decoded(const std::string& text, const std::vector<float>& embedding,
                                        const std::string& query) const {
    if (!manifest_.confidence) return std::nullopt;
    const ConfidenceEntry& entry = *manifest_.confidence;
    const std::optional<bool> said = as_yes_or_no(text);
    if (said && entry.presence && is_about_presence(query)) {
        const auto cosine_of = [&](const char* word) {
            std::string prompt = manifest_.answer_prompt;
            const std::string place = "{candidate}";
            for (std::size_t at = 0; (at = prompt.find(place, at)) != std::string::npos; at += std::strlen(word)) {
                prompt.replace(at, place.size(), word);
            }
            return cosine_with(prompt, embedding);
        };
        const double yes = entry.presence->probability(cosine_of("yes") - cosine_of("no"));
        return *said ? yes : 1.0 - yes;
    }
    const std::optional<Calibrator>& calibrator = asks_for_caption(query) ? entry.caption : entry.answer;
    if (!calibrator) return std::nullopt;
    if (text.empty()) return 0.0;
    return calibrator->probability(cosine_with(text, embedding));
}

Words Texts::say(const std::vector<float>& embedding, const std::string& query, double least) const {
    const std::string decoded = decode(embedding);
    const std::optional<double> sure = of_decoded(decoded, embedding, query);
    if (!sure || (!decoded.empty() && *sure >= least)) {
        return {decoded, sure, decoded.empty() ? Wording::none : Wording::specific};
    }
    if (!sentences_.empty() && asks_for_caption(query)) {
        const auto width = embedding.size();
        std::size_t nearest = 0;
        double best = -2.0;
        for (std::size_t row = 0; row < sentences_.size(); ++row) {
            const double cosine = dot(general_.data() + row * width, embedding.data(), width);
            if (cosine > best) {
                best = cosine;
                nearest = row;
            }
        }
        const double chance = manifest_.confidence->general->calibrator.probability(best);
        if (chance >= least) return {sentences_[nearest], chance, Wording::general};
    }
    return {"", sure, Wording::none};
}

}  // namespace vljepa

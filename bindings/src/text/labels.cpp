#include "vljepa/labels.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "text/coco.hpp"
#include "text/texts.hpp"
#include "text/wordings.hpp"
#include "vljepa/error.hpp"
#include "vljepa/vector_math.hpp"

namespace vljepa {

namespace {

constexpr double kLeastSpread = 1e-6;  // of cosines: below it they differ by rounding
constexpr double kSlope = 1.6;         // Python's CALIBRATOR
constexpr double kOffset = -2.7;
constexpr std::size_t kMostLabels = 1000;
constexpr std::size_t kLongestLabel = 1000;  // letters

std::string meaning(const std::string& label) {
    std::string found = singular(without_article(label));
    for (char& c : found) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return found;
}

}  // namespace

Calibrator watch_calibrator(const Manifest& manifest) {
    if (manifest.confidence && manifest.confidence->watch) return *manifest.confidence->watch;
    return {true, kSlope, kOffset, {}};
}

std::shared_ptr<const Labels> Model::labels(const std::vector<std::string>& names) const {
    if (names.empty() || names.size() > kMostLabels) {
        throw InputError("labels must be 1 to 1000 texts, got " + std::to_string(names.size()));
    }
    std::map<std::string, std::string> meant;
    for (const std::string& name : names) {
        if (name.find_first_not_of(" \t\r\n") == std::string::npos || name.size() > kLongestLabel) {
            throw InputError("each of the labels must be a text of 1 to 1000 letters, got \"" + name.substr(0, 80) + "\"");
        }
        const auto [other, is_new] = meant.emplace(meaning(name), name);
        if (!is_new) {
            throw InputError("the labels must all mean something else, got \"" + other->second + "\" and \"" + name + "\"");
        }
    }
    return std::make_shared<const Labels>(names, query(manifest().label_query.value_or(manifest().text.default_query)),
                                          texts_->label_rows(names), width(), watch_calibrator(manifest()));
}

std::vector<float> Texts::label_rows(const std::vector<std::string>& labels) const {
    std::vector<float> rows;
    for (const std::string& label : labels) add_label(label, rows);
    std::call_once(bank_once_, [this] {
        std::vector<float> bank;
        for (const char* name : kCoco) add_label(name, bank);
        bank_ = std::move(bank);
    });
    rows.insert(rows.end(), bank_.begin(), bank_.end());
    return rows;
}

void Texts::add_label(const std::string& label, std::vector<float>& rows) const {
    const auto width = static_cast<std::size_t>(manifest_.embedding_width);
    std::vector<float> sum(width);
    for (const std::string& text : wordings(label, manifest_.label_prompt)) {
        const std::vector<float> row = embed(text);
        for (std::size_t i = 0; i < width; ++i) sum[i] += row[i];
    }
    unit("label", sum.data(), width, sum.data());
    rows.insert(rows.end(), sum.begin(), sum.end());
}

Labels::Labels(std::vector<std::string> names, Query asked, std::vector<float> rows, std::size_t width,
               Calibrator calibrator)
    : names_(std::move(names)),
      asked_(std::move(asked)),
      rows_(std::move(rows)),
      width_(width),
      calibrator_(std::move(calibrator)) {
    if (names_.empty() || width_ == 0 || rows_.size() % width_ != 0 || rows_.size() / width_ <= names_.size()) {
        throw InputError("labels must have a row each, and a bank of names behind them");
    }
    if (!std::all_of(rows_.begin(), rows_.end(), [](float x) { return std::isfinite(x); })) {
        throw InputError("the rows of labels must be finite");
    }
}

void Labels::probabilities(const std::vector<float>& embedding, std::vector<double>& found) const {
    const std::size_t count = rows_.size() / width_;
    const std::size_t labels = names_.size();
    double sum = 0.0;
    double squares = 0.0;
    for (std::size_t row = labels; row < count; ++row) {
        const double cosine = dot(rows_.data() + row * width_, embedding.data(), width_);
        sum += cosine;
        squares += cosine * cosine;
    }
    const auto others = static_cast<double>(count - labels);
    const double mean = sum / others;
    const double spread = std::max(std::sqrt(std::max(0.0, squares / others - mean * mean)), kLeastSpread);
    found.resize(labels);
    for (std::size_t i = 0; i < labels; ++i) {
        const double cosine = dot(rows_.data() + i * width_, embedding.data(), width_);
        found[i] = calibrator_.probability((cosine - mean) / spread);
    }
}

}  // namespace vljepa

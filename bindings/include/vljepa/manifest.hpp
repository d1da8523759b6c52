#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vljepa {

enum class DataType { u8, i64, f32 };
enum class Unit { frame, clip, text, step };
enum class Resize { cover, stretch };

/// One input or output of a graph. -1 in `shape` is a free dimension.
struct TensorSpec {
    std::string name;
    std::vector<std::int64_t> shape;
    DataType type = DataType::f32;
};

/// A file of the bundle as the manifest has it: SHA-256 in 64 hex digits, and its length.
struct FileEntry {
    std::string sha256;
    std::int64_t bytes = 0;
};

/// One role and the ONNX file that plays it. Two roles may share a file.
struct GraphEntry {
    std::string role;
    std::string file;
    FileEntry entry;
    Unit unit = Unit::clip;
    std::vector<TensorSpec> inputs;
    std::vector<TensorSpec> outputs;

    const TensorSpec* input(std::string_view name) const;
    const TensorSpec* output(std::string_view name) const;
};

/// How frames are made: pixels, how they are fitted, frames a second; frames in a window and between windows.
struct VideoEntry {
    int width = 0;
    int height = 0;
    Resize resize = Resize::cover;
    double fps = 0.0;
    int window = 0;
    int hop = 0;
};

/// Tokenizer files, the most tokens of each, and the ids that start and end a decoded text.
struct TextEntry {
    std::string query_tokenizer;
    std::string target_tokenizer;
    std::string decoder_tokenizer;
    int query_tokens = 0;
    int target_tokens = 0;
    int decoder_tokens = 0;
    std::int64_t decoder_start = 0;
    std::int64_t decoder_end = 0;
    std::string default_query;
    bool empty_query_has_no_token = false;
    std::string target_prompt;
};

/// From a number to the probability that something is right: a logistic curve, or straight lines between knots.
struct Calibrator {
    bool is_logistic = true;
    double slope = 0.0;
    double offset = 0.0;
    std::vector<std::pair<double, double>> knots;  // number, probability

    double probability(double number) const;
};

/// General sentences, one a line of `texts`, and the float16 .npy of their embeddings.
struct GeneralEntry {
    std::string texts;
    std::string embeddings;
    Calibrator calibrator;
};

/// Calibrators by what they judge, and from what confidence on a text is shown.
struct ConfidenceEntry {
    std::optional<Calibrator> caption;
    std::vector<std::string> caption_queries;
    std::optional<Calibrator> answer;
    std::optional<Calibrator> label;
    std::optional<Calibrator> watch;
    std::optional<Calibrator> presence;
    std::optional<GeneralEntry> general;
    double min_confidence = 0.0;
};

/// What `manifest.json` says, as far as a runtime needs it. One that parses is complete: every graph is named, its inputs
/// can be made of what the others give, and every tokenizer it points to is a file of the bundle.
struct Manifest {
    std::string name;
    std::string version;
    std::vector<GraphEntry> graphs;  // in the manifest's order
    std::map<std::string, FileEntry> files;
    VideoEntry video;
    TextEntry text;
    int embedding_width = 0;
    std::string answer_prompt = "{candidate}";
    std::string label_prompt = "{label}";
    std::optional<std::string> label_query;  // what the predictor is asked for labels; the default query
    std::optional<ConfidenceEntry> confidence;

    /// The graph of a role, or nullptr.
    const GraphEntry* graph(std::string_view role) const;
    /// Every file of the bundle but the manifest, graphs included.
    std::map<std::string, FileEntry> entries() const;
};

/// Reads `manifest.json`. Throws BundleError that names the manifest, or the file of a bad entry.
Manifest parse_manifest(std::string_view text);

/// Throws BundleError unless `name` is a relative POSIX path that stays inside the bundle. `where`: what names it.
void check_file_name(const std::string& name, const std::string& where);

}  // namespace vljepa

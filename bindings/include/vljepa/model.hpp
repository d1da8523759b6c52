#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vljepa/bundle.hpp"
#include "vljepa/engine.hpp"

namespace vljepa {

/// A query, embedded for the predictor: tokens, float32 [1, length, width], and which of them count.
struct Query {
    std::string text;
    std::vector<float> tokens;
    std::vector<std::int64_t> mask;
    std::int64_t width = 0;
};

enum class Wording { specific, general, none };

/// A text and the probability that it is right; without a text, that of the one that was not sure enough. Nothing where
/// the bundle has no calibrator for it.
struct Words {
    std::string text;
    std::optional<double> confidence;
    Wording wording = Wording::none;
};

struct ModelOptions {
    std::string engine = "openvino";
    int threads = 0;  // 0: the engine's own choice
    Precision precision = Precision::automatic;
};

class Labels;
struct TaughtHead;
class Texts;
class Vision;

/// A bundle whose graphs are compiled on an engine. It is immutable: one serves many streams and threads.
class Model {
  public:
    /// Throws BundleError, EngineError, or InputError for an option that is not allowed.
    static std::shared_ptr<const Model> load(const std::string& path, const ModelOptions& options = {});
    /// The same on an engine of the caller's, which is not kept. Throws BundleError, and what the engine throws.
    static std::shared_ptr<const Model> load(const std::string& path, Engine& engine);
    ~Model();

    const Bundle& bundle() const { return bundle_; }
    const Manifest& manifest() const { return bundle_.manifest(); }

    /// A query in words. Throws InputError for a text that is not ASCII or has more tokens than the manifest's
    /// query_tokens, BundleError where the bundle's tokenizer is of a kind that is not known here: read_query() is for what
    /// is not ASCII, and for such bundles.
    Query query(const std::string& text) const;
    /// A query as `vljepa query TEXT --out FILE` writes it, for this bundle. Throws InputError.
    Query read_query(const std::string& path) const;
    /// Labels in words: "cup", "a person". Throws as query() does, and InputError for two that mean the same.
    std::shared_ptr<const Labels> labels(const std::vector<std::string>& names) const;
    /// Labels as `vljepa labels A,B --out FILE` writes them, for this bundle. Throws InputError.
    std::shared_ptr<const Labels> read_labels(const std::string& path) const;
    /// A head as `vljepa teach` or Head.save of Python writes it. Throws InputError for one of another X-encoder, too.
    std::shared_ptr<const TaughtHead> read_head(const std::string& path) const;

    /// What the Y-encoder makes of a text: width() floats of unit norm. Throws as query() does.
    std::vector<float> embed_text(const std::string& text) const;
    /// The text that an embedding of unit norm stands for (Y-decoder, greedy).
    std::string decode_text(const std::vector<float>& embedding) const;
    /// An embedding predicted for a query, in words that are right with a probability of at least `least`.
    Words say(const std::vector<float>& embedding, const std::string& query, double least) const;
    /// From which confidence on a text is shown: `wanted`, or the manifest's. Throws InputError where the bundle has no
    /// calibrators.
    double least_confidence(std::optional<double> wanted) const;

    std::size_t width() const { return static_cast<std::size_t>(manifest().embedding_width); }
    const Vision& vision() const { return *vision_; }

  private:
    explicit Model(Bundle bundle);

    Bundle bundle_;
    std::unique_ptr<Texts> texts_;
    std::unique_ptr<Vision> vision_;
};

}  // namespace vljepa

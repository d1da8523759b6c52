#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "text/tokenizer.hpp"
#include "vljepa/bundle.hpp"
#include "vljepa/engine.hpp"
#include "vljepa/model.hpp"

namespace vljepa {

/// Scales an embedding of a graph to unit norm; `scaled` may be where it is. Throws EngineError, naming the graph, when it
/// is not finite or zero.
void unit(const std::string& graph, const float* embedding, std::size_t width, float* scaled);

/// Tokenizers, text graphs and calibrators of one bundle. Safe from many threads.
class Texts {
  public:
    Texts(const Bundle& bundle, std::shared_ptr<Graph> query, std::shared_ptr<Graph> encoder,
          std::shared_ptr<Graph> decoder);

    Query query(const std::string& text) const;
    std::vector<float> embed(const std::string& text) const;
    std::string decode(const std::vector<float>& embedding) const;
    /// The mean of the texts that stand for each label, then of those for 80 common names: rows of unit norm.
    std::vector<float> label_rows(const std::vector<std::string>& labels) const;
    Words say(const std::vector<float>& embedding, const std::string& query, double least) const;

  private:
    const Tokenizer& target_tokenizer() const;
    TokenIds greedy(const std::vector<float>& embedding) const;
    bool asks_for_caption(const std::string& query) const;
    std::optional<double> of_decoded(const std::string& text, const std::vector<float>& embedding,
                                     const std::string& query) const;
    double cosine_with(const std::string& text, const std::vector<float>& embedding) const;
    void read_general();
    void add_label(const std::string& label, std::vector<float>& rows) const;

    const Bundle& bundle_;
    const Manifest& manifest_;
    std::shared_ptr<Graph> query_;
    std::shared_ptr<Graph> encoder_;
    std::shared_ptr<Graph> decoder_;
    Detokenizer detokenizer_;
    mutable std::once_flag query_once_;
    mutable std::once_flag target_once_;
    mutable std::once_flag bank_once_;
    mutable std::unique_ptr<Tokenizer> query_tokenizer_;  // read when they are first asked for
    mutable std::unique_ptr<Tokenizer> target_tokenizer_;
    mutable std::vector<float> bank_;  // rows of common names
    std::vector<std::string> sentences_;
    std::vector<float> general_;  // their embeddings, row by row
};

}  // namespace vljepa

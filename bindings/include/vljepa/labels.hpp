#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "vljepa/manifest.hpp"
#include "vljepa/model.hpp"

namespace vljepa {

/// Some labels as texts of the embedding space, ready to be held against what the predictor says is there; see
/// Model::labels(). It is immutable: one serves many streams and threads.
///
/// A label's score on a prediction is its cosine with it, in standard deviations above the mean cosine of a bank of common
/// names: what a scene that suits many names adds to all cosines is taken away.
class Labels {
  public:
    /// `rows`: the embeddings of the labels, then of the bank, `width` floats each. `asked`: what the predictor is to be
    /// asked. Throws InputError unless there is a label and a bank, and all is finite.
    Labels(std::vector<std::string> names, Query asked, std::vector<float> rows, std::size_t width, Calibrator calibrator);

    const std::vector<std::string>& names() const { return names_; }
    const Query& asked() const { return asked_; }

    /// The probability that each label is there, on a prediction of unit norm for `asked`: one for each of names().
    void probabilities(const std::vector<float>& embedding, std::vector<double>& found) const;

  private:
    std::vector<std::string> names_;
    Query asked_;
    std::vector<float> rows_;
    std::size_t width_;
    Calibrator calibrator_;
};

/// From a score to a probability: what the bundle has for it, else what suits the real videos that packages carry.
Calibrator watch_calibrator(const Manifest& manifest);

}  // namespace vljepa

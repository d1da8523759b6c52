#pragma once

#include <map>
#include <string>

namespace vljepa {

/// What a plan is bound to. `tensorrt` is a version as 10.3.0; of longer ones the first three numbers count.
struct GpuPlatform {
    std::string gpu;
    std::string compute_capability;
    int multiprocessors = 0;
    std::string tensorrt;
};

/// A folder of TensorRT engines as `vljepa build` writes it: plans and engines.json, which says what each was built from
/// and for.
class PlanFolder {
  public:
    /// Throws EngineError when there is no readable engines.json.
    explicit PlanFolder(std::string path);

    /// The plan that stands for a serialised ONNX model on this machine. Throws EngineError that names the graph when there
    /// is none, the machine is another, or the plan was altered.
    std::string plan(const std::string& model, const std::string& graph, const GpuPlatform& here) const;

  private:
    struct Plan {
        std::string file;
        std::string sha256;
    };

    std::string path_;
    GpuPlatform built_for_;
    std::map<std::string, Plan> plans_;  // by the SHA-256 of the ONNX file
};

}  // namespace vljepa

// TensorRT on an NVIDIA GPU: runs the plans that `vljepa build` made on this machine. One CUDA stream for all graphs of a
// model, so one call runs at a time; each graph keeps buffers on the device for its largest shapes.
//
// NOT VERIFIED ON HARDWARE: this was compiled against TensorRT's and CUDA's headers, and has never run.

#include <algorithm>
#include <memory>
#include <mutex>

#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include "bundle/onnx_bytes.hpp"
#include "engine/engines.hpp"
#include "engine/plans.hpp"
#include "engine/ports.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

void check(cudaError_t status, const std::string& doing) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // or a later call would report it again
    throw EngineError(doing + ": CUDA: " + cudaGetErrorString(status));
}

// Keeps the last error: a call of TensorRT that fails only returns nothing.
class Log final : public nvinfer1::ILogger {
  public:
    void log(Severity severity, const nvinfer1::AsciiChar* text) noexcept override {
        if (severity > Severity::kERROR) return;
        try {
            said_ = one_line(text);
        } catch (...) {
        }
    }

    [[noreturn]] void raise(const std::string& doing) const {
        throw EngineError(doing + ": " + (said_.empty() ? "TensorRT gave no reason" : said_));
    }
    void done(bool answer, const std::string& doing) const {
        if (!answer) raise(doing);
    }
    template <class T>
    std::unique_ptr<T> given(T* answer, const std::string& doing) const {
        if (answer == nullptr) raise(doing);
        return std::unique_ptr<T>(answer);
    }

  private:
    std::string said_;
};

// What all graphs of an engine share. Whoever uses it holds the lock.
struct Device {
    Device() {
        check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "tensorrt can't be used");
        runtime = log.given(nvinfer1::createInferRuntime(log), "tensorrt can't be used");
    }
    ~Device() { cudaStreamDestroy(stream); }
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    Log log;
    std::unique_ptr<nvinfer1::IRuntime> runtime;
    cudaStream_t stream = nullptr;
    std::mutex lock;
};

struct Freed {
    void operator()(void* memory) const { cudaFree(memory); }
};

// An input or output of a plan: the shapes that it may have, and memory on the device for the largest.
struct Tensor {
    Port port;
    Shape least;
    Shape most;
    std::unique_ptr<void, Freed> memory;
};

Shape shape_of(const nvinfer1::Dims& dims) { return {dims.d, dims.d + std::max(dims.nbDims, 0)}; }

nvinfer1::Dims dims_of(const Shape& shape) {
    nvinfer1::Dims dims{};
    dims.nbDims = static_cast<std::int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), dims.d);
    return dims;
}

DataType type_of(nvinfer1::DataType type, const std::string& graph, const std::string& name) {
    switch (type) {
        case nvinfer1::DataType::kFLOAT: return DataType::f32;
        case nvinfer1::DataType::kUINT8: return DataType::u8;
        case nvinfer1::DataType::kINT64: return DataType::i64;
        default: throw EngineError(graph + ": " + name + " must be of type float32, uint8 or int64");
    }
}

class TensorRtGraph final : public Graph {
  public:
    TensorRtGraph(std::shared_ptr<Device> device, const std::string& plan, std::vector<std::string> declared, std::string name)
        : name_(std::move(name)), device_(std::move(device)), inputs_(std::move(declared)) {
        const Log& log = device_->log;
        const std::string doing = name_ + ": TensorRT can't load it";
        engine_ = log.given(device_->runtime->deserializeCudaEngine(plan.data(), plan.size()), doing);
        context_ = log.given(engine_->createExecutionContext(), doing);
        for (std::int32_t i = 0; i < engine_->getNbIOTensors(); ++i) {
            const char* const tensor = engine_->getIOTensorName(i);
            const Port port{tensor, type_of(engine_->getTensorDataType(tensor), name_, tensor),
                            shape_of(engine_->getTensorShape(tensor))};
            if (engine_->getTensorIOMode(tensor) == nvinfer1::TensorIOMode::kINPUT) {
                using Select = nvinfer1::OptProfileSelector;
                const bool fixed = is_static(port.shape);
                Shape least = fixed ? port.shape : shape_of(engine_->getProfileShape(tensor, 0, Select::kMIN));
                Shape most = fixed ? port.shape : shape_of(engine_->getProfileShape(tensor, 0, Select::kMAX));
                log.done(context_->setInputShape(tensor, dims_of(most)), doing);
                given_.push_back({port, std::move(least), std::move(most), nullptr});
            } else {
                outputs_.push_back(port.name);
                made_.push_back({port, {}, {}, nullptr});
            }
        }
        for (Tensor& tensor : made_) tensor.most = made_shape(tensor);
        for (std::vector<Tensor>* const tensors : {&given_, &made_}) {
            for (Tensor& tensor : *tensors) {
                void* memory = nullptr;
                check(cudaMalloc(&memory, std::max<std::size_t>(bytes(tensor, tensor.most), 1)), doing);
                tensor.memory.reset(memory);
                log.done(context_->setTensorAddress(tensor.port.name.c_str(), memory), doing);
            }
        }
    }

    const std::vector<std::string>& inputs() const override { return inputs_; }
    const std::vector<std::string>& outputs() const override { return outputs_; }

    void run(const std::vector<Input>& inputs, Outputs& outputs) override {
        const std::string doing = name_ + ": TensorRT failed";
        const std::lock_guard<std::mutex> lock(device_->lock);
        const Log& log = device_->log;
        std::vector<const Input*> fitting;
        for (const Tensor& tensor : given_) {
            const Input& input = checked(name_, tensor.port, inputs);
            check_size(tensor, input.shape);
            fitting.push_back(&input);
            log.done(context_->setInputShape(tensor.port.name.c_str(), dims_of(input.shape)), doing);
        }
        try {
            for (std::size_t i = 0; i < given_.size(); ++i) {
                check(cudaMemcpyAsync(given_[i].memory.get(), fitting[i]->data, bytes(given_[i], fitting[i]->shape),
                                      cudaMemcpyHostToDevice, device_->stream),
                      doing);
            }
            log.done(context_->enqueueV3(device_->stream), doing);
            for (const Tensor& tensor : made_) {
                const auto wanted = outputs.find(tensor.port.name);
                if (wanted == outputs.end()) continue;
                Output& place = wanted->second;
                place.reshape(tensor.port.type, made_shape(tensor));
                check(cudaMemcpyAsync(place.bytes.data(), tensor.memory.get(), place.bytes.size(), cudaMemcpyDeviceToHost,
                                      device_->stream),
                      doing);
            }
        } catch (...) {
            cudaStreamSynchronize(device_->stream);  // nothing that is queued may use the caller's memory any more
            throw;
        }
        check(cudaStreamSynchronize(device_->stream), doing);
    }

  private:
    static std::size_t bytes(const Tensor& tensor, const Shape& shape) {
        return element_count(shape) * element_bytes(tensor.port.type);
    }

    // The shape that an output has with the inputs' shapes that were set last.
    Shape made_shape(const Tensor& tensor) const {
        Shape shape = shape_of(context_->getTensorShape(tensor.port.name.c_str()));
        if (!is_static(shape)) throw EngineError(name_ + ": output " + tensor.port.name + " has a shape that depends on values");
        return shape;
    }

    void check_size(const Tensor& tensor, const Shape& shape) const {
        for (std::size_t i = 0; i < shape.size(); ++i) {
            if (tensor.least[i] <= shape[i] && shape[i] <= tensor.most[i]) continue;
            throw EngineError(name_ + ": input " + tensor.port.name + " is " + describe(tensor.port.type, shape) +
                              "; the engine was built for " + describe(tensor.port.type, tensor.least) + " to " +
                              describe(tensor.port.type, tensor.most) + ": build it with other --profiles");
        }
    }

    std::string name_;
    std::shared_ptr<Device> device_;
    std::vector<std::string> inputs_;  // those that no node uses, which a plan drops, included
    std::vector<std::string> outputs_;
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
    std::vector<Tensor> given_;
    std::vector<Tensor> made_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
};

class TensorRtEngine final : public Engine {
  public:
    explicit TensorRtEngine(const std::string& folder) : plans_(folder) {
        cudaDeviceProp about{};
        check(cudaGetDeviceProperties(&about, 0), "tensorrt can't be used");
        const std::int32_t version = getInferLibVersion();  // 100300 is 10.3.0
        here_ = {about.name, std::to_string(about.major) + "." + std::to_string(about.minor), about.multiProcessorCount,
                 std::to_string(version / 10'000) + "." + std::to_string(version / 100 % 100) + "." +
                     std::to_string(version % 100)};
        device_ = std::make_shared<Device>();
    }

    std::unique_ptr<Graph> compile(const std::string& model, const std::string& name) override {
        const std::string plan = plans_.plan(model, name, here_);
        const std::lock_guard<std::mutex> lock(device_->lock);
        return std::make_unique<TensorRtGraph>(device_, plan, declared_inputs(model), name);
    }

  private:
    PlanFolder plans_;
    GpuPlatform here_;
    std::shared_ptr<Device> device_;
};

}  // namespace

std::unique_ptr<Engine> open_tensorrt(const std::string& folder, int threads, Precision precision) {
    if (threads != 0) throw EngineError("tensorrt: runs on the GPU and takes no threads; leave them 0");
    if (precision != Precision::automatic && precision != Precision::f16) {
        throw EngineError("tensorrt: precision must be automatic or f16, for which engines are built");
    }
    return std::make_unique<TensorRtEngine>(folder);
}

}  // namespace vljepa

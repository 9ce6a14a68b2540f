// The CPU kernels: adapters of many requests in one pass, rotary positions, attention over paged memory.
//
// Plain C entry points over raw pointers, so that the file compiles in two seconds without PyTorch's headers and is
// called through ctypes. What a row gets never depends on which other rows stand beside it: every sum runs in an order
// that only the row's own length and the shape of the model decide. Row blocks share loads, never sums.

#include "paged.h"

extern "C" {

// The adapters alone.
void delta(const Batch* batch, int32_t group, const float* x, int64_t x_stride, float* y, int64_t y_stride) {
    delta_then(batch, group, x, x_stride, y, y_stride, [](int64_t) {});
}

// After the projection to queries, keys and values: adapters, rotary positions, memory; then attention of decoding rows.
// A prompt's tokens attend elsewhere, with matrices.
void attention(const Batch* batch, const Pages* p, int32_t group, const float* x, int64_t x_stride, float* qkv,
               int64_t stride, float* out, int64_t out_stride) {
    delta_then(batch, group, x, x_stride, qkv, stride, [=](int64_t t) {
        rotate_and_store(*p, qkv + t * stride, batch->positions[t], batch->places[t]);
    });
#pragma omp parallel for num_threads(batch->threads) if (batch->threads > 1)
    for (int row = 0; row < batch->decoding; row++) {
        std::vector<float> scores(batch->lengths[row] + LANES);
        // Queries that share their keys come one after another: nothing is fetched before the last of them.
        const int shared = p->heads / p->kv_heads;
        for (int h = 0; h < p->heads; h++) {
            const Past past = past_of(*batch, row, h / shared);
            const bool last = h % shared == shared - 1, more = h + 1 < p->heads;
            const Past next = !last ? Past{} : more ? past_of(*batch, row, past.kv + 1) : past_of(*batch, row + 1, 0);
            attend(*p, qkv + row * stride + h * p->dim, past, next, batch->lengths[row], scores.data(),
                   out + row * out_stride + h * p->dim);
        }
    }
}

// residual += y, with adapters; out = the residual, root-mean-square normalised.
void add_norm(const Batch* batch, int32_t group, const float* x, int64_t x_stride, float* y, float* residual,
              const float* weight, float epsilon, float* out, int64_t hidden) {
    delta_then(batch, group, x, x_stride, y, hidden, [=](int64_t t) {
        float *r = residual + t * hidden, *to = out + t * hidden;
        const float* more = y + t * hidden;
        Vec squares[2] = {};
        for (int64_t i = 0; i < hidden; i += LANES) {
            Vec v = load(r + i) + load(more + i);
            store(r + i, v);
            squares[i / LANES % 2] += v * v;
        }
        const float mean = sum(squares[0] + squares[1]) / (float)hidden;
        const float factor = 1.0f / __builtin_sqrtf(mean + epsilon);
        for (int64_t i = 0; i < hidden; i += LANES) store(to + i, load(weight + i) * (load(r + i) * factor));
    });
}

// out = silu(gate) × up, with adapters. A row of `both` is gate, then up.
void gate(const Batch* batch, int32_t group, const float* x, int64_t x_stride, float* both, float* out, int64_t width) {
    delta_then(batch, group, x, x_stride, both, 2 * width, [=](int64_t t) {
        const float *g = both + 2 * t * width, *up = g + width;
        for (int64_t i = 0; i < width; i += LANES) {
            Vec v = load(g + i), zero = {};
            Vec small = exp_negative(v < zero ? v : -v);
            Vec sigmoid = (v < zero ? small : zero + 1.0f) / (small + 1.0f);
            store(out + t * width + i, v * sigmoid * load(up + i));
        }
    });
}
}

// Rotary positions, and attention of decoding rows over memory in pages.

#pragma once

#include <vector>

#include "adapters.h"

// One layer's memory: keys [blocks, kv_heads, dim, 16], values [blocks, kv_heads, 16, dim]; cosines, sines [positions, dim / 2].
struct Pages {
    float *keys, *values;
    const float *cosines, *sines;
    int32_t heads, kv_heads, dim;
};

namespace {

void rotate(float* v, int dim, const float* c, const float* s) {
    const int half = dim / 2;
    for (int i = 0; i < half; i++) {
        const float low = v[i], high = v[i + half];
        v[i] = low * c[i] - high * s[i];
        v[i + half] = high * c[i] + low * s[i];
    }
}

// Rotates the queries of one token in place, and writes its rotated keys and its values to their place.
void rotate_and_store(const Pages& p, float* row, int64_t position, int64_t place) {
    const int dim = p.dim;
    const float *c = p.cosines + position * (dim / 2), *s = p.sines + position * (dim / 2);
    for (int h = 0; h < p.heads + p.kv_heads; h++) rotate(row + h * dim, dim, c, s);
    const int64_t block = place / LANES, offset = place % LANES;
    for (int h = 0; h < p.kv_heads; h++) {
        const float *k = row + (p.heads + h) * dim, *v = row + (p.heads + p.kv_heads + h) * dim;
        float* keys = p.keys + (block * p.kv_heads + h) * dim * LANES + offset;
        for (int d = 0; d < dim; d++) keys[d * LANES] = k[d];
        std::memcpy(p.values + ((block * p.kv_heads + h) * LANES + offset) * dim, v, dim * sizeof(float));
    }
}

// What one row's queries of one head of keys look at: its blocks in order. No blocks where there is nobody.
struct Past {
    const int32_t* table;
    int64_t kv;
    int blocks;
};

inline Past past_of(const Batch& batch, int row, int64_t kv) {
    if (row >= batch.decoding) return {};
    return {batch.tables + row * batch.table_stride, kv, (batch.lengths[row] + LANES - 1) / LANES};
}

// One head of one new token looks at its row's past; meanwhile the past that is looked at next is fetched, block beside
// block: blocks lie wherever one was free, so that no processor foresees them. What stands beyond the row's length,
// perhaps left by another request, is never part of a sum: not even multiplied by zero, for it may be infinite.
void attend(const Pages& p, const float* q, const Past& past, const Past& next, int length, float* scores, float* to) {
    const int dim = p.dim, blocks = past.blocks;
    const int64_t size = (int64_t)dim * LANES;
    const float scale = 1.0f / __builtin_sqrtf((float)dim);
    for (int b = 0; b < blocks; b++) {
        const float* keys = p.keys + (past.table[b] * (int64_t)p.kv_heads + past.kv) * size;
        // Where there is no next block this one is fetched again: it is there.
        const float* then = b < next.blocks ? p.keys + (next.table[b] * (int64_t)p.kv_heads + next.kv) * size : keys;
        Vec acc[4] = {};
        for (int d = 0; d < dim; d += 4)
            for (int i = 0; i < 4; i++) {
                fetch(then + (d + i) * LANES);
                acc[i] += load(keys + (d + i) * LANES) * q[d + i];
            }
        store(scores + b * LANES, ((acc[0] + acc[1]) + (acc[2] + acc[3])) * scale);
    }
    for (int i = length; i < blocks * LANES; i++) scores[i] = scores[0];
    Vec most = load(scores), totals = {};
    for (int b = 1; b < blocks; b++) most = load(scores + b * LANES) > most ? load(scores + b * LANES) : most;
    const Vec highest = all(largest(most));
    for (int b = 0; b < blocks; b++) store(scores + b * LANES, exp_negative(load(scores + b * LANES) - highest));
    for (int i = length; i < blocks * LANES; i++) scores[i] = 0.0f;
    for (int b = 0; b < blocks; b++) totals += load(scores + b * LANES);
    const float total = sum(totals);
    for (int d0 = 0; d0 < dim; d0 += 4 * LANES) {
        const int vectors = (dim - d0) / LANES < 4 ? (dim - d0) / LANES : 4;
        Vec acc[4] = {};
        for (int b = 0, i = 0; b < blocks; b++) {
            const float* values = p.values + (past.table[b] * (int64_t)p.kv_heads + past.kv) * size + d0;
            const float* then =
                b < next.blocks ? p.values + (next.table[b] * (int64_t)p.kv_heads + next.kv) * size + d0 : values;
            for (; i < length && i < (b + 1) * LANES; i++, values += dim, then += dim) {
                const float weight = scores[i];
                if (vectors == 4)
                    for (int j = 0; j < 4; j++) {
                        fetch(then + j * LANES);
                        acc[j] += load(values + j * LANES) * weight;
                    }
                else
                    for (int j = 0; j < vectors; j++) acc[j] += load(values + j * LANES) * weight;
            }
        }
        for (int j = 0; j < vectors; j++) store(to + d0 + j * LANES, acc[j] * (1.0f / total));
    }
}

}  // namespace

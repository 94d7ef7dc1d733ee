from ringfence._core._kernel_digests cimport hash_of
from ringfence._core._kernel_hash cimport hash_bytes_of

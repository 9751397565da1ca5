//! What cudarc declares of cuBLAS 13.0, and cuBLAS 13.0 lacks. A program leaves out what it does not call; a shared library
//! has it all, and would not be loaded.

/// CUBLAS_STATUS_NOT_SUPPORTED.
const NOT_SUPPORTED: i32 = 15;

macro_rules! missing {
    ($($name:ident)*) => {$(
        #[expect(unsafe_code, reason = "the name is cuBLAS's, which candle never calls")]
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> i32 {
            NOT_SUPPORTED
        }
    )*};
}

missing! {
    cublasLtEmulationDescInit_internal
    cublasLtEmulationDescCreate
    cublasLtEmulationDescDestroy
    cublasLtEmulationDescSetAttribute
    cublasLtEmulationDescGetAttribute
}

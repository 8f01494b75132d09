ACCOUNT = "variabledata1"
SAS = "se=2031-10-06T00%3A00%3A00Z&sp=rl&sv=2026-10-06&ss=b&srt=sco&sig=UxrkNHv/Qml7W3KhyynZ0ZPqAOP9ZGaW/QLdcR7iCiI%3D"
url = f"https://{ACCOUNT}.blob.core.windows.net/raw/part.csv?{SAS}"
